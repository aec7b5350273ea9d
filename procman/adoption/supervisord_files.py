"""Read which programs the files of a supervisord define, and reduce the files by some of them (R6)."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from procman.backends.supervisor.configuration.discovery import find_configurations, find_configurations_around
from procman.backends.supervisor.configuration.includes import is_read, real
from procman.backends.supervisor.configuration.main_file import read_main_file
from procman.backends.supervisor.configuration.merged import Configuration, assemble
from procman.backends.supervisor.configuration.sections import PROGRAM_KINDS, Section, sections_of
from procman.backends.supervisor.configuration.supervisor_parser import Process, Source, Unreadable, read
from procman.backends.supervisor.configuration.takeover import remaining
from procman.errors import ProcmanError
from procman.host.process import directory_of, users_of
from procman.host.process_table import look_at
from procman.model import MARKER, BackendName, SupervisorMode, SupervisorSettings
from procman.project import Project, Rendering

Key = tuple[str, str]
"""The group and the name of a process of supervisord."""

NOTHING = Rendering((), ())


@dataclass(frozen=True)
class Defined:
    """The programs of one supervisord that are adopted, and its files without them."""

    processes: Mapping[str, tuple[Process, ...]]
    """The processes of each program, by the name of its section."""
    files: Mapping[Path, str | None]
    """The new content of each file that changes; None if it becomes empty."""


def main_files(project: Project) -> list[Path]:
    """Return the configurations of the supervisords that may run on this host: the project's, running ones, others."""
    own = [project.supervisor.configuration] if project.backend is BackendName.SUPERVISOR else []
    found = [*own, *_running(), *find_configurations(os.environ)]
    return [path for path in dict.fromkeys(map(real, found)) if os.path.isfile(path)]  # noqa: PTH113


def reader_of(file: Path, mains: Sequence[Path]) -> Path:
    """Return the first of `mains`, or of those around `file`, whose supervisord reads it. Raises ProcmanError."""
    problems = []
    for path in dict.fromkeys((*mains, *find_configurations_around(file))):
        try:
            if is_read(file, read_main_file(path)):
                return path
        except ProcmanError as error:
            problems.append(f"; {error.message}")
    raise ProcmanError(
        f"no supervisord of this host reads that file{''.join(problems)}: start the one that does, with its option -c"
    )


def sections_in(file: Path) -> list[Section]:
    """Return the programs that `file` defines. Raises ProcmanError if it cannot be read."""
    if file.exists() and not file.is_file():
        raise ProcmanError("it is not a regular file")  # a FIFO would block the install
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ProcmanError("the file does not exist") from None
    except UnicodeDecodeError as error:
        raise ProcmanError(f"byte {error.start} of the file is not UTF-8") from None
    except OSError as error:
        raise ProcmanError(f"the file cannot be read ({error.strerror}): run the same command with sudo") from None
    return [section for section in sections_of(text) if section.kind in PROGRAM_KINDS]


def processes_of(main: Path, name: str) -> list[Process]:
    """Return the processes of the program `name` that the files of the supervisord of `main` define now."""
    return [*without(main, [name]).processes[name]]


def without(main: Path, names: Collection[str]) -> Defined:
    """Return what the supervisord of `main` runs for the programs `names`, and its files without them.

    Raises ProcmanError if supervisord could not read the files as they are or as they will be, or if any other program
    would change (R6).
    """
    before = _assembled(main, {})
    files = dict(_remainders(before, names))
    known = _processes(before)
    after = _processes(_assembled(main, files))
    gone = known.keys() - after.keys()
    if changed := sorted(key for key in after if known.get(key) != after[key]):
        raise ProcmanError(
            f"without it, supervisord would run {':'.join(changed[0])} in another way: edit {main} by hand"
        )
    return Defined({name: _of(name, names, main, known, gone, before) for name in names}, files)


def _of(
    name: str,
    names: Collection[str],
    main: Path,
    known: Mapping[Key, Process],
    gone: Collection[Key],
    before: Configuration,
) -> tuple[Process, ...]:
    if len(names) > 1:
        # A section can have several processes, of any name and in any group: its own are those that go with it alone.
        gone = known.keys() - _processes(_assembled(main, dict(_remainders(before, [name])))).keys()
    return tuple(known[key] for key in known if key in gone)


def _assembled(main: Path, files: Mapping[Path, str | None]) -> Configuration:
    settings = SupervisorSettings(SupervisorMode.EXISTING, main, "")
    return assemble(settings, NOTHING, [], files)


def _remainders(configuration: Configuration, names: Collection[str]) -> Iterator[tuple[Path, str | None]]:
    """Yield each file with one of `names`, also in a group, and its content without them."""
    for source in (configuration.main_source, *configuration.included):
        text = _text(source)
        if text is None or MARKER in text.partition("\n")[0]:
            continue
        # Names that are procman's too are checked with the whole configuration.
        left = remaining(source.path, names, renamed=True)
        if (left or "") != text and (left is not None or text.strip()):
            _require_file(source.path)
            yield source.path, left


def _require_file(path: Path) -> None:
    """Raise ProcmanError for a link: procman changes no file through one (S3), and cannot set half of a link aside."""
    if path.is_symlink():
        command = shlex.join(["cp", "--remove-destination", os.path.realpath(path), str(path)])
        raise ProcmanError(f"{path} is a symbolic link. Replace it by the file that it leads to: {command}")


def _text(source: Source) -> str | None:
    try:
        with source.path.open(encoding="utf-8", newline="") as opened:
            return opened.read()
    except (OSError, UnicodeDecodeError):
        return None


def _processes(configuration: Configuration) -> dict[Key, Process]:
    try:
        found = read(configuration.main_source, configuration.included, [])
    except Unreadable as error:
        raise ProcmanError(f"supervisord cannot read its files: {error}: fix that first") from None
    return {(each.group, each.name): each for each in found.processes}


def _running() -> list[Path]:
    """Return the configurations that running supervisords were started with, of root or the caller only (S3)."""
    found = []
    for process in look_at([], ["supervisord"]).values():
        name = configuration_in(process.argv)
        directory = directory_of(process.pid) if name else None
        if name and directory and users_of(process.pid) <= {0, os.geteuid()}:
            found.append(directory / name)
    return found


def configuration_in(argv: Sequence[str]) -> str:
    """Return the value of supervisord's option -c in `argv`; empty if it has none, or is not a supervisord's."""
    if not any(Path(word).name.startswith("supervisord") or word == "supervisor.supervisord" for word in argv[:3]):
        return ""
    for word, following in zip(argv, (*argv[1:], ""), strict=True):
        if word in ("-c", "--configuration"):
            return following
        if word.startswith("--configuration="):
            return word.partition("=")[2]
        if word.startswith("-c") and len(word) > 2:
            return word[2:]
    return ""
