"""Take over systemd units: those of an administrator are set aside, those of packages and templates masked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from procman.adoption.base import Candidate, Progress
from procman.adoption.nodes import beat_in, problem_of_nodes
from procman.adoption.procfile import problem_of_programs
from procman.adoption.units import (
    PROPERTIES,
    files_of,
    is_going,
    is_set_aside,
    links_of,
    problem_of,
    related,
    starts,
    unit_name,
)
from procman.backends.graceful_stop import StopWait
from procman.config.directories import directories_for
from procman.errors import ProcmanError
from procman.host import systemd_host
from procman.host.celery_processes import mains_among
from procman.host.control_group import processes_of
from procman.host.drain import drain, pids_of
from procman.host.process import identity
from procman.host.systemctl import NoSuchUnit, Systemctl, Unit
from procman.install.safe_fs.tree import Tree
from procman.model import Adopted, Link, Scope
from procman.project import Project
from procman.sources import Source, source_in

QUERY_SECONDS = 30.0

REST_SECONDS = 90
"""How long the rest of a unit may take to end; systemd's default."""

STARTS_AT_BOOT = ("enabled", "enabled-runtime", "generated")

DROP_IN = "zz-procman-adoption.conf"
"""The last of the drop-ins, so that no other one takes precedence."""

WITHOUT_RESTART = """\
# procman ends the workers of this unit itself, so that their tasks finish. Removed when they have ended.
[Service]
Restart=no
ExecStop=
WatchdogSec=0
RuntimeMaxSec=infinity
"""


def find(sources: Sequence[Source], project: Project) -> list[Candidate]:
    """Return a candidate for each unit that `sources` name: see `Adopter.find`."""
    systemctl = Systemctl(project.scope, QUERY_SECONDS)
    by_place = systemctl.show(sorted({unit_name(source.place) for source in sources}), PROPERTIES)
    grouped: dict[str, list[Source]] = {}
    for source in sources:
        grouped.setdefault(by_place[unit_name(source.place)].text("Id"), []).append(source)
    units = {unit.text("Id"): unit for unit in by_place.values()}
    others = related(units.values(), systemctl)
    candidates, problems = [], []
    for name, its in grouped.items():
        candidate = _candidate(units[name], its, project)
        problem = problem_of(units[name], grouped, others, candidate.links)
        problem = problem or problem_of_nodes(mains_among(candidate.pids), its)
        problem = problem or problem_of_programs(processes_of(units[name].text("ControlGroup")))
        candidates.append(candidate)
        problems += [f"{its[0]}: {problem}"] if problem else []
    if problems:
        raise ProcmanError("\n".join(problems))
    return candidates


def _candidate(unit: Unit, sources: Sequence[Source], project: Project) -> Candidate:
    directory = project.directories.units
    mains = mains_among(processes_of(unit.text("ControlGroup")))
    links = links_of(unit, directory)
    return Candidate(
        sources=tuple(sources),
        label=unit.text("Id"),
        is_running=is_going(unit),
        is_enabled=unit.text("UnitFileState") in STARTS_AT_BOOT or any(starts(each) for each in links),
        has_beat=beat_in(mains, sources, project),
        files=files_of(unit, directory),
        links=links,
        manager=project.scope.value,
        pids=tuple(main.pid for main in mains),
        processes=(unit.text("Id"), *(identity(main.pid) for main in mains)),
    )


def stop(candidate: Candidate, seconds: int, progress: Progress) -> str:
    """Stop the unit, so that its running tasks finish and nothing starts it again: see `Adopter.stop`."""
    scope = Scope(candidate.manager)
    systemctl, (name, *mains) = Systemctl(scope, QUERY_SECONDS), candidate.processes
    with _without_restart(systemctl, scope, name):
        done = _ended(systemctl, name, mains, seconds, progress, candidate.stop_signal)
    with Tree() as tree:
        for link in candidate.links:
            tree.remove(link.path)
    systemctl.order("daemon-reload")
    unit = systemctl.show([name], PROPERTIES)[name]
    if unit.is_known and not is_set_aside(unit, units_directory(scope)):
        # A package or a template still defines it, perhaps because the file that took precedence is set aside.
        systemctl.order("mask", name)
        return f"{done}, masked"
    return done


def _ended(
    systemctl: Systemctl, name: str, mains: Sequence[str], seconds: int, progress: Progress, stop_signal: str
) -> str:
    """Drain the unit `name` and the processes `mains`, stop the rest of the unit, and return what was done."""
    unit = systemctl.show([name], PROPERTIES)[name]
    group, main = unit.text("ControlGroup"), unit.number("MainPID") or 0

    def processes() -> list[int]:
        return [*processes_of(group), *pids_of(mains)]

    done = drain(name, processes, seconds, progress, main=main, stop_signal=stop_signal)
    with suppress(NoSuchUnit):
        # Its dependencies stay as they are: units that need this one do not stop.
        systemctl.order("stop", "--no-block", "--job-mode=ignore-dependencies", name)
    wait = StopWait(progress)
    while is_going(unit := systemctl.show([name], PROPERTIES)[name]) or processes_of(group):
        wait.sleep({name: REST_SECONDS})
    return done or ("stopped" if group else "was not running")


@contextmanager
def _without_restart(systemctl: Systemctl, scope: Scope, name: str) -> Iterator[None]:
    """Let nothing but procman end or start the unit.

    A unit whose file is set aside has the defaults of systemd from the next daemon-reload on: Restart=no, no ExecStop=.
    """
    drop_in = _drop_in(scope, name)
    with Tree() as tree:
        tree.make_directory(drop_in.parent.parent, 0o755)
        tree.make_directory(drop_in.parent, 0o755)
        tree.write(drop_in, WITHOUT_RESTART.encode(), 0o644)
        systemctl.order("daemon-reload")
        try:
            yield
        finally:
            _remove(tree, drop_in)


def _drop_in(scope: Scope, name: str) -> Path:
    return runtime_units(scope) / f"{name}.d" / DROP_IN


def _remove(tree: Tree, drop_in: Path) -> None:
    tree.remove(drop_in)
    tree.remove_directory(drop_in.parent)


def forget(candidate: Candidate, progress: Progress) -> str:  # noqa: ARG001
    """Remove the result of the unit's last run from systemd's memory, so that it is not listed as failed."""
    systemctl = Systemctl(Scope(candidate.manager), QUERY_SECONDS)
    with suppress(ProcmanError):
        systemctl.order("reset-failed", candidate.processes[0])
    return ""


def bring_back(adopted: Adopted, progress: Progress) -> str:  # noqa: ARG001
    """Make the links of the unit again, unmask it, and start it if it ran: see `Adopter.bring_back`."""
    source = source_in(adopted.source)
    assert source
    systemctl, name = Systemctl(Scope(adopted.manager), QUERY_SECONDS), unit_name(source.place)
    with Tree() as tree:
        make_links(tree, adopted.links)
        # An adoption that was killed has left it.
        _remove(tree, _drop_in(Scope(adopted.manager), name))
    systemctl.order("daemon-reload")
    if systemctl.show([name], PROPERTIES)[name].text("LoadState") == "masked":
        systemctl.order("unmask", name)
    if not adopted.was_running:
        return "as it was before"
    systemctl.order("start", name)
    return "started again"


def make_links(tree: Tree, links: Sequence[Link]) -> None:
    """Make `links` again; systemctl removes a directory of links with the last of them."""
    for link in links:
        tree.make_directory(link.path.parent, 0o755)
        tree.link(link.path, link.target)


def units_directory(scope: Scope) -> Path:
    """Return the directory in which the administrator, or the calling user, writes units."""
    return directories_for("", scope, os.environ).units


def runtime_units(scope: Scope) -> Path:
    """Return the directory of units that last until the next boot."""
    if scope is Scope.SYSTEM:
        return systemd_host.BOOTED
    return systemd_host.runtime_directory() / "systemd/user"
