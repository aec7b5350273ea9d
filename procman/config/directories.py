"""The directories of a scope: /etc, /var and /usr/local for the host, the XDG directories for a user."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from procman.config.read_file import normalised
from procman.errors import ConfigurationError
from procman.model import Directories, Scope
from procman.quoting import unprintable

OF_HOST = Path("/etc/procman")
"""The directory of procman's files that an administrator may read; it has one for each project."""


def directories_for(project: str, scope: Scope, environment: Mapping[str, str]) -> Directories:
    """Return the directories of `project`; in user scope they follow the XDG variables and `HOME`."""
    if scope is Scope.SYSTEM:
        return Directories(
            configuration=OF_HOST / project,
            state=Path("/var/lib/procman") / project,
            logs=Path("/var/log") / project,
            library=Path("/usr/local/lib/procman") / project,
            data=Path("/var/lib") / project,
            shared_configuration=OF_HOST,
            shared_state=Path("/var/lib/procman"),
            units=Path("/etc/systemd/system"),
        )
    configuration_home = _base("XDG_CONFIG_HOME", ".config", environment)
    configuration = configuration_home / "procman"
    state = _base("XDG_STATE_HOME", ".local/state", environment) / "procman"
    return Directories(
        configuration=configuration / project,
        state=state / project,
        logs=state / project / "log",
        library=state / project / "lib",
        data=_base("XDG_DATA_HOME", ".local/share", environment) / project,
        shared_configuration=configuration,
        shared_state=state,
        units=configuration_home / "systemd" / "user",
    )


def _base(variable: str, below_home: str, environment: Mapping[str, str]) -> Path:
    value, home = environment.get(variable, ""), environment.get("HOME", "")
    # Relative values are ignored, as the XDG specification demands.
    if not value.startswith("/"):
        variable, value = "HOME", f"{home}/{below_home}" if home.startswith("/") else ""
    if not value:
        raise ConfigurationError([f"HOME is {home!r}: in user scope it must be your home directory"])
    found = unprintable(value)
    if found:
        raise ConfigurationError(
            [f"{variable} contains a {found}: the files that procman writes cannot name that directory"]
        )
    return normalised(Path(value))
