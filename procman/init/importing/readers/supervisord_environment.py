"""Find the environment that a supervisord was started with, from which it fills in `%(ENV_X)s`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from procman.backends.supervisor.configuration.effective import (
    Settings,
    Supervisord,
    own_value,
    supervisord_of,
)
from procman.errors import ProcmanError
from procman.host.process import arguments, environment_of
from procman.init.importing.contents import content_of
from procman.init.importing.existing import Remark
from procman.init.importing.readers.supervisord_files import Configuration

NAMED = re.compile(r"%\(ENV_([^)]+)\)")


def found_supervisord(configuration: Configuration, environment: Mapping[str, str]) -> tuple[Supervisord, bool]:
    """Return the supervisord that reads `configuration`, and whether it runs, so that its environment is certain.

    If it does not, `environment` is used in its place. Raises Unreadable.
    """
    supposed = supervisord_of(configuration.settings, environment, configuration.here)
    own = _environment(own_value(supposed, "pidfile"))
    if not own:
        return supposed, False
    return supervisord_of(configuration.settings, own, configuration.here), True


def _environment(pid_file: str) -> dict[str, str]:
    """Return the environment of the supervisord with this pid file; empty if it does not run, or without permission."""
    if not pid_file.startswith("/"):
        return {}
    try:
        text = content_of(Path(pid_file)).strip()
    except ProcmanError:
        return {}
    if not re.fullmatch(r"[0-9]{1,9}", text):
        return {}
    # The pid may have been given to another process meanwhile.
    is_supervisord = any("supervisord" in Path(word).name for word in arguments(int(text))[:3])
    return environment_of(int(text)) if is_supervisord else {}


def supposed_variables(
    supervisord: Supervisord, programs: Sequence[Settings], environment: Mapping[str, str]
) -> Iterator[Remark]:
    """Yield a remark for each variable of `environment` that `programs` use, because supervisord's may differ."""
    seen = set[str]()
    for program in programs:
        for placed in program.options.values():
            own = _set_by(program) | supervisord.environment.keys()
            for name in NAMED.findall(placed.value):
                if name in environment and name not in own | seen:
                    seen.add(name)
                    why = f"its supervisord does not run, so {name} has the value that it has in this shell: check it"
                    yield Remark(str(placed), f"%(ENV_{name})s", why, doubtful=True)


def _set_by(program: Settings) -> set[str]:
    text = program.options["environment"].value if "environment" in program.options else ""
    return set(re.findall(r"(?:\A|,)\s*([A-Za-z_][A-Za-z0-9_]*)\s*=", text))
