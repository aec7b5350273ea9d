"""Find the files that a supervisord reads through its `[include]`."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from procman.backends.supervisor.configuration.main_file import MainFile


def included(patterns: Iterable[str]) -> list[Path]:
    """Return the files on disk that `patterns` match, in supervisord's reading order."""
    # supervisor itself uses glob; pathlib would also match names that begin with a dot.
    return [Path(name) for pattern in patterns for name in sorted(glob.glob(pattern))]  # noqa: PTH207


def is_read(path: Path, main: MainFile) -> bool:
    """Return whether supervisord reads `path`: its main file, or a file that it includes."""
    return real(path) == real(main.path) or any(matched(path, pattern) for pattern in main.includes)


def matched(path: Path, pattern: str) -> bool:
    """Return whether supervisord would find `path`, which need not exist yet, by `pattern`."""
    desired = Path(os.path.normpath(pattern))
    if not glob.has_magic(str(desired.parent)):
        # Either directory may be a symbolic link.
        return real(path).parent == real(desired).parent and _name_matches(path.name, desired.name)
    parts = Path(os.path.normpath(path)).parts
    return len(parts) == len(desired.parts) and all(map(_name_matches, parts, desired.parts))


def merged(patterns: Sequence[str], added: Iterable[Path], removed: Iterable[Path]) -> list[Path]:
    """Return what `included` would return once the files `added` exist and those in `removed` are deleted."""
    gone = {real(path) for path in removed}
    new = list(added)
    files = []
    for pattern in patterns:
        there = {real(path): path for path in included([pattern]) if real(path) not in gone}
        there |= {real(path): path for path in new if matched(path, pattern)}
        files += sorted(there.values(), key=str)
    return files


def real(path: Path) -> Path:
    """Return `path` with symbolic links resolved in its directory, but not in the file name."""
    return Path(os.path.realpath(path.parent)) / path.name


def _name_matches(name: str, pattern: str) -> bool:
    hidden = name.startswith(".") and not pattern.startswith(".")
    return not hidden and fnmatch.fnmatchcase(name, pattern)
