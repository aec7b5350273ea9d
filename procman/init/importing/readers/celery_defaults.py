"""Read the defaults of Celery's init scripts, and what the scripts `celeryd` and `celerybeat` start with them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from procman.celery_cli.parse import read_command
from procman.celery_cli.script_state import StartScript
from procman.celery_cli.start_script import read_script
from procman.init.importing.contents import content_of
from procman.init.importing.existing import Existing, Remark, Stop
from procman.init.importing.readers.multi_nodes import with_nodes

OF_SCRIPTS = re.compile(r"CELERY(?:D|BEAT)?_[A-Z_]+|CELERYD|CELERYBEAT|CELERYEV\w*|DAEMON_OPTS")
"""Variables for the init scripts, which Celery itself does not read."""

DECISIVE = re.compile(r"(?:export\s+)?(CELERY(?:D|BEAT)_(?:NODES|OPTS|MULTI)|CELERY_(?:APP|BIN)|DAEMON_OPTS)=")
"""An assignment without which nothing is known of the programs: their queues are among the options."""

READ_BY_CELERY = ("CELERY_LOADER", "CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", "CELERY_CONFIG_MODULE")


@dataclass(frozen=True)
class Defaults:
    """The variables of one or more files of defaults."""

    files: tuple[Path, ...]
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    exported: Mapping[str, str] = field(default_factory=dict, repr=False)
    remarks: tuple[Remark, ...] = ()
    lines: Mapping[str, tuple[Path, int]] = field(default_factory=dict)
    """Where a variable is set last."""
    unknown: str = ""
    """The first decisive variable whose value only a shell knows."""

    def get(self, *names: str, default: str = "") -> str:
        """Return the first of the variables that is set and not empty."""
        return next((self.variables[name] for name in names if self.variables.get(name)), default)

    def place_of(self, *names: str) -> tuple[Path, int]:
        """Return the file and line of the first of the variables that is set."""
        return next((self.lines[name] for name in names if name in self.lines), (self.files[-1], 0))


def read_defaults(files: Sequence[Path]) -> Defaults:
    """Return what a shell knows after it has read `files` one after the other. Raises ProcmanError."""
    unknown = ""
    script, remarks, lines = StartScript(Path("/")), list[Remark](), dict[str, tuple[Path, int]]()
    for file in files:
        text = content_of(file)
        found = read_script(text, Path("/"), {})
        script.variables |= found.variables
        script.exported |= found.exported
        remarks += [
            Remark(f"{file}:{each.line}", each.what, each.consequence, each.is_assumed, not each.is_assumed)
            for each in found.not_understood
        ]
        decisive = filter(None, (DECISIVE.match(each.what) for each in found.not_understood if not each.is_assumed))
        unknown = unknown or next((each[1] for each in decisive), "")
        for number, line in enumerate(text.split("\n"), 1):
            if assigned := re.match(r"\s*(?:export\s+)?(\w+)=", line):
                lines[assigned[1]] = (file, number)
    exported = {
        name: value
        for name, value in script.environment.items()
        if name in READ_BY_CELERY or not OF_SCRIPTS.fullmatch(name)
    }
    return Defaults(tuple(files), script.variables, exported, tuple(remarks), lines, unknown)


def workers_of(defaults: Defaults, of: str, default_user: str = "celery") -> list[Existing]:
    """Return the workers that Celery's generic init script `celeryd` starts with `defaults`; `of` names it."""
    file, line = defaults.place_of("CELERYD_NODES", "CELERYD_OPTS", "CELERY_BIN")
    app, directory = defaults.get("CELERY_APP"), defaults.get("CELERYD_CHDIR")
    # As the script puts its command line together, which a second shell then splits.
    text = [
        defaults.get("CELERYD_MULTI", default=f"{defaults.get('CELERY_BIN', default='celery')} multi"),
        f"start {defaults.get('CELERYD_NODES', default='celery')} {defaults.get('DAEMON_OPTS')}",
        f"--workdir={directory}" if directory else "",
        f"--loglevel={defaults.get('CELERYD_LOG_LEVEL', 'CELERYD_LOGLEVEL', default='INFO')}",
        *(f"--logfile={each}" for each in [defaults.get("CELERYD_LOG_FILE")] if each),
        *(f"--pidfile={each}" for each in [defaults.get("CELERYD_PID_FILE")] if each),
        f"--app={app}" if app else "",
        defaults.get("CELERYD_OPTS"),
    ]
    whole = Existing(
        of,
        Path(of).name,
        file,
        line,
        (),
        environment=defaults.exported,
        user=defaults.get("CELERYD_USER", default=default_user) or None,
        stop=Stop(signal="TERM", reaches="main", restarts="never"),
        remarks=_limits(defaults),
    )
    return with_nodes(with_words(whole, " ".join(text), defaults))


def _limits(defaults: Defaults) -> tuple[Remark, ...]:
    if not defaults.get("CELERYD_ULIMIT"):
        return ()
    file, line = defaults.place_of("CELERYD_ULIMIT")
    why = "set the limit as a directive of the unit, such as LimitNOFILE, or for supervisord as a whole"
    return (Remark(f"{file}:{line}", f"ulimit {defaults.get('CELERYD_ULIMIT')}", why, doubtful=True),)


def with_words(existing: Existing, text: str, defaults: Defaults) -> Existing:
    """Return the program with the command line `text`, which `defaults` are in, as a shell splits it."""
    if defaults.unknown:
        problem = f"only a shell can evaluate {defaults.unknown}: write its value into the file, and import it again"
        return replace(existing, problem=problem)
    try:
        return replace(existing, words=tuple(shlex.split(text)))
    except ValueError as error:
        return replace(existing, problem=f"a shell cannot read its command line: {error}")


def beat_of(defaults: Defaults, script: Path, default_user: str = "celery") -> Existing:
    """Return the beat that Celery's generic init script `celerybeat` starts."""
    file, line = defaults.place_of("CELERYBEAT_OPTS", "CELERY_APP", "CELERY_BIN")
    app, directory = defaults.get("CELERY_APP"), defaults.get("CELERYBEAT_CHDIR", "CELERYD_CHDIR")
    level = defaults.get("CELERYBEAT_LOG_LEVEL", "CELERYBEAT_LOGLEVEL", default="INFO")
    logs = defaults.get("CELERYBEAT_LOG_FILE")
    text = [
        defaults.get("CELERYBEAT", default=f"{defaults.get('CELERY_BIN', default='celery')} beat"),
        f"--app={app}" if app else "",
        defaults.get("CELERYBEAT_OPTS"),
        f"-f {logs}" if logs else "",
        f"-l {level} {defaults.get('DAEMON_OPTS')}",
        f"--workdir={directory}" if directory else "",
    ]
    whole = Existing(
        str(script),
        script.name,
        file,
        line,
        (),
        environment=defaults.exported,
        user=defaults.get("CELERYBEAT_USER", "CELERYD_USER", default=default_user) or None,
        stop=Stop(signal="TERM", reaches="main", restarts="never"),
    )
    return _with_command(with_words(whole, " ".join(text), defaults))


def _with_command(existing: Existing) -> Existing:
    command = read_command(existing.words) if existing.words else None
    if command is None:
        return replace(existing, problem=existing.problem or "no Celery worker or beat found in its command line")
    return replace(existing, command=command, environment={**existing.environment, **command.environment})
