"""Take over scripts in /etc/init.d, with systemd, which generates a unit for each, and without it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from procman.adoption import systemd
from procman.adoption.base import Candidate, Progress
from procman.adoption.nodes import beat_in, problem_of_nodes
from procman.adoption.pid_files import mains_by_pid_files
from procman.adoption.units import INIT_SCRIPTS, PROPERTIES, is_going, unit_name
from procman.errors import ProcmanError
from procman.host import systemd_host
from procman.host.celery_processes import mains_among
from procman.host.control_group import processes_of
from procman.host.drain import drain, pids_of
from procman.host.process import identity
from procman.host.process_table import Process
from procman.host.systemctl import Systemctl, Unit
from procman.install.safe_fs.tree import Tree
from procman.model import Adopted, Link, Scope
from procman.project import Project
from procman.sources import Source, source_in
from procman.subprocesses import CLEAN_ENVIRONMENT, begin

START_SECONDS = 90

RUN_LEVELS = "rc[S0-9].d"
"""The directories of the links that start a script at boot, in /etc."""


def find(sources: Sequence[Source], project: Project) -> list[Candidate]:
    """Return a candidate for each script that `sources` name: see `Adopter.find`."""
    grouped: dict[str, list[Source]] = {}
    for source in sources:
        grouped.setdefault(source.place, []).append(source)
    units = _units(list(grouped))
    candidates, problems = [], []
    for name, its in grouped.items():
        script, unit = INIT_SCRIPTS / name, units.get(name)
        mains = _mains(script, unit)
        problem = _problem(script, unit, project) or problem_of_nodes(mains, its)
        problems += [f"{its[0]}: {problem}"] if problem else []
        candidates.append(_candidate(script, unit, its, mains, project))
    if problems:
        raise ProcmanError("\n".join(problems))
    return candidates


def _units(names: Sequence[str]) -> dict[str, Unit]:
    """Return the unit that systemd has for each script; none without systemd."""
    if not systemd_host.BOOTED.is_dir():
        return {}
    found = Systemctl(Scope.SYSTEM, systemd.QUERY_SECONDS).show([unit_name(name) for name in names], PROPERTIES)
    return {name: found[unit_name(name)] for name in names}


def _mains(script: Path, unit: Unit | None) -> list[Process]:
    # A script that is called by its path runs outside its unit.
    by_unit = mains_among(processes_of(unit.text("ControlGroup"))) if unit else []
    found = {main.pid: main for main in [*by_unit, *mains_by_pid_files(script)]}
    return list(found.values())


def _problem(script: Path, unit: Unit | None, project: Project) -> str:
    if project.scope is not Scope.SYSTEM:
        return 'only root can adopt it. Set scope = "system", and install with sudo'
    if not script.is_file() and not (unit and is_going(unit)):
        return f"{script} does not exist. Remove it from adopts, or correct its name"
    if unit and unit.is_known and unit.text("SourcePath") != str(script):
        file = unit.text("FragmentPath")
        return f"systemd uses {file} in its place. Write systemd:{unit.name} in adopts"
    return ""


def _candidate(
    script: Path, unit: Unit | None, sources: Sequence[Source], mains: Sequence[Process], project: Project
) -> Candidate:
    is_link = script.is_symlink()
    return Candidate(
        sources=tuple(sources),
        label=str(script),
        is_running=bool(mains) or (unit is not None and is_going(unit)),
        is_enabled=any(Path("/etc").glob(f"{RUN_LEVELS}/S[0-9][0-9]{script.name}")),
        has_beat=beat_in(mains, sources, project),
        files={script: None} if script.is_file() and not is_link else {},
        manager=project.scope.value,
        links=(Link(script, str(script.readlink())),) if is_link else (),
        pids=tuple(main.pid for main in mains),
        processes=(unit_name(script.name), *(identity(main.pid) for main in mains)),
    )


def stop(candidate: Candidate, seconds: int, progress: Progress) -> str:
    """End what the script runs, so that its running tasks finish: see `Adopter.stop`."""
    if systemd_host.BOOTED.is_dir():
        return systemd.stop(candidate, seconds, progress)
    with Tree() as tree:
        for link in candidate.links:
            tree.remove(link.path)
    _, *mains = candidate.processes
    return drain(candidate.label, lambda: pids_of(mains), seconds, progress) or "was not running"


def forget(candidate: Candidate, progress: Progress) -> str:
    """Remove the result of the unit's last run from systemd's memory: see `Adopter.forget`."""
    if not systemd_host.BOOTED.is_dir():
        return ""
    return systemd.forget(candidate, progress)


def bring_back(adopted: Adopted, progress: Progress) -> str:
    """Start what the script runs, if it ran: see `Adopter.bring_back`."""
    if systemd_host.BOOTED.is_dir():
        return systemd.bring_back(adopted, progress)
    source = source_in(adopted.source)
    assert source
    script = INIT_SCRIPTS / source.place
    with Tree() as tree:
        systemd.make_links(tree, adopted.links)
    if not adopted.was_running:
        return "as it was before"
    return _started(script)


def _started(script: Path) -> str:
    """Run `script start` as an administrator does, from / and with a clean environment."""
    begun = begin([str(script), "start"], environment=CLEAN_ENVIRONMENT, user=None, stdin="", timeout=START_SECONDS)
    while (status := begun.status()) is None:
        time.sleep(0.1)
    if status:
        raise ProcmanError(f"{script} start exited with status {status}", hint=f"Start it by hand: {script} start")
    return "started again"
