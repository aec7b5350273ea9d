"""Take over the programs of a Procfile that honcho or foreman runs: it ends all of them when one ends."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from procman.accounts import user_id
from procman.adoption.base import Candidate, Progress
from procman.adoption.nodes import beat_in
from procman.errors import ProcmanError
from procman.host.celery_processes import MANAGERS, is_manager, mains_among, processes_below
from procman.host.drain import drain, pids_of
from procman.host.process import directory_of, environment_of, identity, users_of
from procman.host.process_table import Process, Processes, look_at
from procman.host.runner import runner_of
from procman.install.safe_fs.file_info import PathError
from procman.install.safe_fs.tree import Tree
from procman.install.safe_fs.untrusted_file import UntrustedFile, read_untrusted
from procman.model import Adopted
from procman.project import Project
from procman.sources import Source, source_in

LINE = re.compile(r"([A-Za-z0-9_-]+):\s*(.+)$")
"""An entry of a Procfile (honcho.environ)."""

NAMES = ("HONCHO_PROCESS_NAME", "PS")
"""The variables in which honcho and foreman give a process its name, such as worker.1."""

LONGEST = 1 << 20
"""Bytes of a Procfile."""

ROOT_USER = 0

FILE, ROOT = ("-f", "--procfile"), ("-d", "--app-root", "--root")


class Manager(NamedTuple):
    """A running honcho or foreman."""

    pid: int
    argv: tuple[str, ...]
    directory: Path
    programs: frozenset[str]
    """The names of the entries that it runs now."""
    workers: frozenset[str]
    """Those that are workers or beats."""

    @property
    def command(self) -> str:
        """Return the command line that starts it again."""
        return f"cd {shlex.quote(str(self.directory))} && {shlex.join(self.argv)}"


def find(sources: Sequence[Source], project: Project) -> list[Candidate]:
    """Return a candidate for each Procfile that `sources` name: see `Adopter.find`."""
    candidates, problems = [], []
    for place in dict.fromkeys(source.place for source in sources):
        its = [source for source in sources if source.place == place]
        managers = _trusted(managers_of(Path(place)), Path(place), project)
        found = [f"{each}: {problem}" for each in its if (problem := _missing(each, managers))]
        found = found or [f"{its[0]}: {problem}" for each in managers if (problem := _problem(each, its))]
        problems += found
        candidates += [] if found else [_candidate(Path(place), its, managers, project)]
    if problems:
        raise ProcmanError("\n".join(problems))
    return candidates


def _candidate(file: Path, sources: Sequence[Source], managers: Sequence[Manager], project: Project) -> Candidate:
    mains = [main for manager in managers for main in mains_among([manager.pid])]
    return Candidate(
        sources=tuple(sources),
        label=str(file),
        is_running=bool(managers),
        is_enabled=False,
        has_beat=beat_in(mains, sources, project),
        files=_files(file, {source.name for source in sources}),
        manager=" && ".join(manager.command for manager in managers),
        pids=tuple(main.pid for main in mains),
        processes=tuple(map(identity, [each.pid for each in managers] + [each.pid for each in mains])),
    )


def stop(candidate: Candidate, seconds: int, progress: Progress) -> str:
    """End the programs gracefully while honcho is suspended, then honcho: see `Adopter.stop`."""
    return drain(candidate.label, lambda: _trees(pids_of(candidate.processes)), seconds, progress) or "was not running"


def forget(candidate: Candidate, progress: Progress) -> str:  # noqa: ARG001
    """Return which entries are still in the Procfile, because root does not write where another user can."""
    file = Path(candidate.sources[0].place)
    left = [source.name for source in candidate.sources if source.name in entries_of(_text(file))]
    if not left:
        return ""
    return f"{file} still has {', '.join(left)}: remove those lines, or honcho starts them beside procman's programs"


def bring_back(adopted: Adopted, progress: Progress) -> str:  # noqa: ARG001
    """Return the command that starts honcho again, which belongs into the terminal of its user."""
    source = source_in(adopted.source)
    if not adopted.was_running or (source and managers_of(Path(source.place))):
        return "as it was before"
    return f"to start it again: {adopted.manager}"


def entries_of(text: str) -> list[str]:
    """Return the names of the programs that a Procfile defines."""
    return [found[1] for line in text.splitlines() if (found := LINE.match(line))]


def without(text: str, names: Collection[str]) -> str | None:
    """Return the Procfile without the entries `names`, otherwise byte for byte; None if no entry is left."""
    kept = [line for line in text.splitlines(keepends=True) if not ((at := LINE.match(line)) and at[1] in names)]
    left = "".join(kept)
    return left if entries_of(left) else None


def managers_of(file: Path) -> list[Manager]:
    """Return each honcho or foreman that runs the Procfile `file`."""
    return [
        each
        for each in _managers(look_at((), MANAGERS))
        if procfile_in(each.argv, each.directory, environment_of(each.pid)) == file.resolve()
    ]


def _trusted(managers: Sequence[Manager], file: Path, project: Project) -> list[Manager]:
    """Return those of `managers` that no other user can have started to stop an install or to choose a command (S3)."""
    users = {ROOT_USER, os.geteuid(), user_id(project.user), *_owner(file)}
    return [each for each in managers if users_of(each.pid) <= users]


def _owner(file: Path) -> list[int]:
    try:
        return [file.stat().st_uid]
    except OSError:
        return []


def problem_of_programs(pids: Collection[int]) -> str:
    """Return which program of a honcho among `pids` is no worker and would stop with them; empty if there is none."""
    for manager in _managers(look_at(pids, ())):
        others = sorted(manager.programs - manager.workers)
        if others:
            return (
                f"it also runs {', '.join(others)} by honcho, which would stop with it. Give {others[0]} its own unit"
            )
    return ""


def _managers(processes: Processes) -> list[Manager]:
    found = [each for each in processes.values() if not each.is_zombie and is_manager(each, processes)]
    return [_manager(each) for each in sorted(found)]


def _manager(process: Process) -> Manager:
    names = {pid: _name_of(pid) for pid in processes_below([process.pid])}
    workers = {names.get(main.pid, "") for main in mains_among([process.pid])}
    programs, directory = frozenset({*names.values()} - {""}), directory_of(process.pid) or Path("/")
    return Manager(process.pid, process.argv, directory, programs, frozenset(workers))


def _name_of(pid: int) -> str:
    environment = environment_of(pid)
    return next((environment[each].rpartition(".")[0] for each in NAMES if each in environment), "")


def procfile_in(argv: Sequence[str], directory: Path, environment: Mapping[str, str]) -> Path:
    """Return the Procfile that a honcho or foreman with this command line, directory and environment runs."""
    root, file = _option(argv, ROOT) or ".", _option(argv, FILE) or environment.get("PROCFILE", "Procfile")
    return (directory / root / file).resolve()


def _option(argv: Sequence[str], names: Collection[str]) -> str:
    for word, following in zip(argv, [*argv[1:], ""], strict=True):
        if word in names:
            return following
        for name in names:
            if word.startswith(f"{name}=" if name.startswith("--") else name):
                return word.removeprefix(name).removeprefix("=")
    return ""


def _missing(source: Source, managers: Sequence[Manager]) -> str:
    # After an interruption, its entry has been removed but honcho still runs it.
    if source.name in entries_of(_text(Path(source.place))) or any(source.name in each.programs for each in managers):
        return ""
    return "it has no such entry. Remove it from adopts, or correct the path or name"


def _problem(manager: Manager, sources: Sequence[Source]) -> str:
    """Return why the programs of `manager` cannot be adopted, with the remedy; empty if it can."""
    others = sorted(manager.programs - {source.name for source in sources})
    if others:
        return (
            f"process {manager.pid} also runs {', '.join(others)}, and ends all of its programs when one ends. "
            f"Start {' and '.join(others)} without the others first: honcho start {' '.join(others)}"
        )
    runner, own = runner_of(manager.pid), runner_of(os.getpid())
    if str(runner) and runner != own:
        return f"{runner} runs process {manager.pid}, and would start it again. Stop and disable that first"
    return ""


def _files(file: Path, names: Collection[str]) -> dict[Path, str | None]:
    try:
        with Tree() as tree:
            found = tree.look(file)
    except PathError:
        # Root does not write where another user can (S3); `forget` reports the entries that are left.
        return {}
    if found is None or found.content is None:
        return {}
    text = found.content.decode("utf-8", "surrogateescape")
    left = without(text, names)
    return {} if left == text else {file: left}


def _text(file: Path) -> str:
    try:
        # The service user may be able to replace it, even by a file that never ends (S3).
        content = read_untrusted(file.resolve(), None, LONGEST)
    except UntrustedFile:
        return ""
    return (content or b"").decode("utf-8", "surrogateescape")


def _trees(pids: Collection[int]) -> list[int]:
    return sorted(processes_below(pids))
