"""Run supervisor's own parser as a process, in the version of its Python, to see how supervisord reads a file.

A question is a line of JSON: {"main": text, "included": text, "directories": [paths to create]}. The answer is
{"sections": [...], "programs": {"group:name": {...}}, "supervisord": {...}}, or {"error": why it does not start}.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from supervisor import datatypes
from supervisor.options import ClientOptions, ServerOptions, UnhosedConfigParser
from supervisor.process import Subprocess

# The test needs the name that supervisord looks up, not the users of this host.
datatypes.pwd = SimpleNamespace(getpwnam=lambda name: (name, "x", name), getpwuid=lambda uid: None)

OPTIONS = (
    *("autostart", "priority", "startsecs", "startretries", "redirect_stderr", "serverurl", "environment", "exitcodes"),
    *("stopsignal", "stopwaitsecs", "stopasgroup", "killasgroup"),
    *("stdout_logfile", "stdout_logfile_maxbytes", "stdout_logfile_backups"),
    *("stderr_logfile", "stderr_logfile_maxbytes"),
)


def answer(directory: Path, question: dict[str, Any]) -> dict[str, Any]:
    """Return how supervisord reads a main file and a file that it includes."""
    for path in question["directories"]:
        Path(path).mkdir(parents=True, exist_ok=True)
    main, included = directory / "supervisord.conf", directory / "conf.d" / "ours.conf"
    main.write_text(question["main"], encoding="utf-8")
    included.write_text(question["included"], encoding="utf-8")
    parser = UnhosedConfigParser()
    parser.read([str(main), str(included)])
    options = ServerOptions()
    options.here = str(directory)
    try:
        options.read_config(str(main))
        section = options.configroot.supervisord
        pairs = [(group, each) for group in section.process_group_configs for each in group.process_configs]
        return {
            "sections": parser.sections(),
            "programs": {f"{group.name}:{each.name}": program(each) for group, each in pairs},
            "supervisord": {
                "logfile": section.logfile,
                "pidfile": section.pidfile,
                "childlogdir": section.childlogdir,
                "minfds": section.minfds,
                "sockets": [config["file"] for config in section.server_configs],
                "serverurl": server_url(main) if "supervisorctl" in parser.sections() else None,
            },
        }
    except Exception as error:
        return {"sections": parser.sections(), "error": f"{type(error).__name__}: {error}"}


def program(config: Any) -> dict[str, Any]:
    """Return how supervisord would run a program, with the argv that it passes to exec."""
    config.options.check_execv_args = lambda *_: None  # the command does not exist; only its parsing matters
    read = {name: _plain(getattr(config, name)) for name in (*OPTIONS, "autorestart")}
    return {**read, "argv": Subprocess(config).get_execv_args()[1], "user": config.uid}


def _plain(value: Any) -> Any:
    # supervisor has classes for the ways to restart, and for a log that it names itself.
    return value.__name__ if isinstance(value, type) else value


def server_url(main: Path) -> str:
    """Return the address at which supervisorctl would connect to supervisord."""
    options = ClientOptions()
    options.read_config(str(main))
    url: str = options.configroot.supervisorctl.serverurl
    return url


def serve() -> None:
    """Answer questions until the end of stdin."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "conf.d").mkdir()
        for line in sys.stdin:
            print(json.dumps(answer(directory, json.loads(line))), flush=True)


if __name__ == "__main__":
    serve()
