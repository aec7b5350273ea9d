"""Which directories a scope uses (design: /etc, /var, /usr/local for the host; the XDG directories for a user)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from procman.errors import ConfigurationError
from procman.model import Directories, Scope


def directories_for(project: str, scope: Scope, environment: Mapping[str, str]) -> Directories:
    """Return the directories of PROJECT; in user scope they follow XDG_CONFIG_HOME, XDG_STATE_HOME and HOME."""
    if scope is Scope.SYSTEM:
        return Directories(
            configuration=Path("/etc/procman") / project,
            state=Path("/var/lib/procman") / project,
            logs=Path("/var/log") / project,
            library=Path("/usr/local/lib/procman") / project,
            data=Path("/var/lib") / project,
            shared_configuration=Path("/etc/procman"),
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
        data=state / project / "data",
        shared_configuration=configuration,
        shared_state=state,
        units=configuration_home / "systemd" / "user",
    )


def _base(variable: str, below_home: str, environment: Mapping[str, str]) -> Path:
    # The XDG specification has relative values ignored.
    value = environment.get(variable, "")
    if value.startswith("/"):
        return Path(value)
    home = environment.get("HOME", "")
    if not home.startswith("/"):
        raise ConfigurationError(
            [f"HOME is {home!r}: in user scope it must name your home directory, or set {variable}"]
        )
    return Path(home) / below_home
