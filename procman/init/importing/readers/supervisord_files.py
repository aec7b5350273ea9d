"""Find out which files one supervisord reads together: its own file, and those of its `[include]`."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from procman.backends.supervisor.configuration.discovery import find_configurations, find_configurations_around
from procman.backends.supervisor.configuration.effective import (
    Settings,
    Unreadable,
    merged,
    supervisord_of,
    unknown_names,
    value_of,
)
from procman.backends.supervisor.configuration.includes import included, matched, real
from procman.backends.supervisor.configuration.sections import Section, read_sections
from procman.errors import ProcmanError
from procman.init.importing.contents import MOST_WILDCARDS, content_of, is_too_wide
from procman.init.importing.existing import Remark

SUFFIXES = (".conf", ".ini")
"""What Debian and Red Hat include."""

SECTION = re.compile(r"^\[(supervisord|include|(program|fcgi-program|eventlistener|group):.+)\]", re.MULTILINE)
MOST_FILES = 1000


@dataclass(frozen=True)
class Configuration:
    """What one supervisord reads."""

    here: Path
    """The directory of its main file; of one of the files, if that is unknown."""
    settings: tuple[Settings, ...]
    given: frozenset[Path]
    """The files whose programs are imported."""
    files: tuple[Path, ...]
    """Every file that was read."""
    remarks: tuple[Remark, ...] = ()


def configurations(files: Sequence[Path], environment: Mapping[str, str], root: Path) -> list[Configuration]:
    """Return what each supervisord reads that has some of `files`, which may be directories and patterns too.

    The main file that includes one of them is found beside it and where the host, whose root directory is `root`, has
    its own. The files that none includes belong to the only main file with `[include]` among `files`, or together to
    those of the same directory.
    """
    paths = list(dict.fromkeys(real(path.absolute()) for file in files for path in _expanded(file)))
    sections = {path: read_sections(path, content_of(path)) for path in paths}
    of_host = list(find_configurations(environment, root))
    homes = {path: _main_of(path, sections, environment, of_host) for path in paths}
    # Its patterns may match only where it is deployed; a supervisord without [include] reads no other file.
    mains = [path for path in paths if _has(sections[path], "include")]
    only = mains[0] if len(mains) == 1 else None
    found: dict[tuple[Path | None, Path | None], list[Path]] = {}
    for path in paths:
        main = homes[path] or only
        found.setdefault((main, None if main else path.parent), []).append(path)
    return [_configuration(main, given, environment) for (main, _), given in found.items()]


def _expanded(file: Path) -> list[Path]:
    if file.is_dir():
        paths = [path for path in sorted(file.iterdir()) if path.suffix in SUFFIXES and path.is_file()]
        paths = [path for path in paths if SECTION.search(content_of(path))]
    elif glob.has_magic(str(file)) and not file.exists():
        paths = included([str(file)])
    else:
        return [file]
    if not paths:
        raise ProcmanError(f"{file}: no file of supervisord found", hint="Name the files that define its programs.")
    if len(paths) > MOST_FILES:
        raise ProcmanError(f"{file}: more than {MOST_FILES} files", hint="Name the files that define its programs.")
    return paths


def _main_of(
    path: Path, sections: Mapping[Path, Sequence[Section]], environment: Mapping[str, str], of_host: Sequence[Path]
) -> Path | None:
    if _has(sections[path], "include"):
        return path
    given = [each for each in sections if each != path]
    for main in dict.fromkeys((*given, *of_host, *find_configurations_around(path))):
        try:
            patterns, _ = _patterns(main, sections.get(main) or read_sections(main, content_of(main)), environment)
        except ProcmanError:
            continue
        if any(matched(path, pattern) for pattern in patterns):
            return real(main)
    return path if _has(sections[path], "supervisord") else None


def _has(sections: Sequence[Section], kind: str) -> bool:
    return any(section.kind == kind for section in sections)


def _configuration(main: Path | None, given: Sequence[Path], environment: Mapping[str, str]) -> Configuration:
    if main is None:
        settings = merged((path, read_sections(path, content_of(path))) for path in given)
        return Configuration(given[0].parent, tuple(settings), frozenset(given), tuple(given))
    own = read_sections(main, content_of(main))
    patterns, remarks = _patterns(main, own, environment)
    others = list(dict.fromkeys(real(path) for path in _limited(main, patterns)))
    is_whole = main in given
    read = [(main, own)]
    for path in dict.fromkeys((*others, *(each for each in given if each != main))):
        try:
            read.append((path, read_sections(path, content_of(path))))
        except ProcmanError as error:
            if is_whole or path in given:
                raise
            # It concerns the given files only if it repeats one of their sections.
            remarks.append(Remark(str(path), path.name, error.message, doubtful=True))
    files = tuple(path for path, _ in read)
    settings = merged(read, are_included=_has(own, "include"))
    return Configuration(main.parent, tuple(settings), frozenset(files if is_whole else given), files, tuple(remarks))


def _limited(main: Path, patterns: Sequence[str]) -> Iterator[Path]:
    for count, path in enumerate(included(patterns)):
        if count >= MOST_FILES:
            raise ProcmanError(f"{main}: its [include] matches more than {MOST_FILES} files", hint="Name the files.")
        yield path


def _patterns(main: Path, own: Sequence[Section], environment: Mapping[str, str]) -> tuple[list[str], list[Remark]]:
    """Return the absolute patterns of `[include]`, and remarks on those that match nothing."""
    settings = merged([(main, own)])
    include = next((each for each in settings if each.header == "[include]"), None)
    if include is None or "files" not in include.options:
        return [], []
    place = include.options["files"]
    try:
        # Only the environment: supervisord reads its own section after the files.
        words = value_of(supervisord_of([], environment, main.parent), include, "files").split()
    except Unreadable as error:
        raise ProcmanError(f"{place}: supervisord cannot read it: {error}", hint="Fix that line.") from None
    patterns, remarks = [], []
    for word in words:
        names = unknown_names(word)
        if names:
            why = f"the value of {names[0]} in supervisord's environment is unknown: name its files too"
            remarks.append(Remark(str(place), "[include] files", why, doubtful=True))
            continue
        pattern = str(main.parent / word)
        if is_too_wide(pattern):
            why = f"{word} has wildcards in more than {MOST_WILDCARDS} of its parts"
            raise ProcmanError(f"{place}: {why}", hint="Name the files that define its programs.")
        patterns.append(pattern)
        if not included([pattern]):
            remarks.append(Remark(str(place), f"[include] files = {word}", "no file matches it", doubtful=True))
    return patterns, remarks
