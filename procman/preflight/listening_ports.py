"""PM791: ports of workers that overlap, which two processes cannot listen on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from procman.backends import controller_of
from procman.errors import ProcmanError
from procman.host.listening import fixed_ports
from procman.host.process_tree import children_finder, tree_of
from procman.install.safe_fs.tree import Tree
from procman.install.state.generations import current_generation
from procman.keeper import is_kept
from procman.model import Kind, Level, Result
from procman.preflight.inputs import PreflightFacts
from procman.project import Project


def ports_of_workers(project: Project) -> Mapping[str, tuple[int, ...]]:
    """Return the ports on which the running workers of `project` listen that overlap, or will; by program name."""
    names = {program.name for program in project.programs if is_kept(program)}
    try:
        with Tree() as tree:
            current = current_generation(tree, project.directories.state) if names else None
        programs = [each for each in current.manifest.programs if each.name in names] if current else []
        states = controller_of(current.manifest).states(programs) if current and programs else ()
    except ProcmanError:
        return {}
    children_of = children_finder()
    return {state.name: fixed_ports(tree_of(state.pid, children_of)) for state in states if state.pid}


def ports_are_free(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM791."""
    for program in preflight.of_kind(Kind.WORKER):
        ports = preflight.host.listening.get(program.name, ())
        if ports and is_kept(program):
            detail = (
                f"it listens on port {', '.join(map(str, ports))}, and its successor may need the port "
                "while it still runs"
            )
            hint = 'Listen on port 0. If it can start without the port, or shares it: accept = ["PM791"] in [project].'
            yield Result("PM791", program.name, Level.WARNING, detail, hint)
