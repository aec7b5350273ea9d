"""What a move to another process manager would take away from programs that run."""

from __future__ import annotations

from collections.abc import Sequence

from procman.backends.systemd import sandbox
from procman.host.open_files import written_by
from procman.host.process_tree import children, tree
from procman.model import BackendName, ProgramState
from procman.project import Project


def unwritable(project: Project, states: Sequence[ProgramState]) -> list[str]:
    """Return a problem for each file that a program of PROJECT writes to now and could not in its sandbox.

    STATES are those under the process manager that the programs are to leave.
    """
    if project.backend is not BackendName.SYSTEMD:
        return []
    pids = {state.name: state.pid for state in states}
    problems = []
    for program in project.programs:
        pid = pids.get(program.name)
        written = written_by(tree(pid, children())) if pid else ()
        problems += [
            f"{project.configuration_file}: {program.name} writes to {path} now, which its sandbox would forbid: "
            f'add "{path.parent}" to writable_paths'
            for path in sandbox.read_only(project, program, written)
        ]
    return problems
