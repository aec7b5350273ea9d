"""Whether programs can write to the output of their supervisord, which `/dev/stdout` and `/dev/stderr` mean."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from procman.backends.supervisor.client import ANSWER_SECONDS, Client
from procman.backends.supervisor.configuration.main_file import read_main_file
from procman.errors import ProcmanError
from procman.launch import outputs_of
from procman.project import STANDARD_STREAMS, Project

STREAMS = {Path(path): descriptor for descriptor, path in enumerate(STANDARD_STREAMS, 1)}
"""By path: the descriptor of supervisord that it names."""

REMEDY = "Name a file, or run supervisord in the foreground (-n) of a container."


def problems_of_output(project: Project) -> Iterator[str]:
    """Yield why programs could not write to the output of a supervisord that runs, each with its remedy."""
    asked = {
        output.path: program.key
        for program in reversed(project.programs)
        for output in vars(outputs_of(program, None)).values()
        if output and output.path in STREAMS
    }
    pid = _pid(project) if asked else None
    for path, key in asked.items() if pid else ():
        problem = _problem(Path(f"/proc/{pid}/fd/{STREAMS[path]}"))
        if problem:
            yield f"[{key}] writes to {path}, but that of supervisord (process {pid}) {problem}. {REMEDY}"


def _pid(project: Project) -> int | None:
    try:
        main = read_main_file(project.supervisor.configuration)
        return int(Client(main, "", ANSWER_SECONDS).call("getPID"))
    except ProcmanError:
        return None


def _problem(descriptor: Path) -> str:
    try:
        target = str(descriptor.readlink())
    except OSError:
        return ""
    if target.startswith("socket:"):
        # open(2) of a socket fails with ENXIO; systemd connects its services to the journal by one.
        return "is a socket, such as the journal's, which cannot be opened: the program would not start"
    return "is /dev/null, so its output would be lost" if target == "/dev/null" else ""
