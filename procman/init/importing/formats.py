"""Decide by name, place and content which reader reads an existing file, and read all of them (`init --from`)."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from glob import glob, has_magic
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from procman.celery_cli.script_file import SHEBANG
from procman.errors import ConfigurationError, ProcmanError
from procman.host.local_units import UNIT_DIRECTORIES
from procman.init.importing.existing import Reading

EXPECTED = "a file, a directory, a glob, a unit such as celery.service, or an init script such as celeryd"
"""What `--from` names."""

MOST_FILES = 1000
"""In one directory or glob; more is a mistake, such as `--from /`."""

LARGEST_READ = 1 << 20
"""Bytes of a file that decide its format."""

UNIT = re.compile(r"[^/]+\.service")
COMPOSE = re.compile(r"(?:docker-|podman-)?compose[\w.-]*\.ya?ml|[\w.-]+\.ya?ml")
LEFT_BY_EDITORS = re.compile(r"\..*|.*(?:~|\.bak|\.orig|\.rej|\.swp|\.dpkg-\w+|\.rpm\w+)")


class Format(NamedTuple):
    """A format that procman imports."""

    reader: str
    """The module in readers/, with a function `read(files, environment, root)` that returns a Reading."""
    called: str
    suits: Callable[[Path, str], bool]
    """Whether the file of this path and content has the format; asked in the order of FORMATS."""


def _has(pattern: str, text: str) -> bool:
    return re.search(pattern, text, re.MULTILINE) is not None


def _is_unit(path: Path, text: str) -> bool:
    return UNIT.fullmatch(path.name) is not None or _has(r"^\[Service\]\s*$", text)


def _is_of_supervisord(_: Path, text: str) -> bool:
    return _has(r"^\[(?:(?:program|fcgi-program|group|eventlistener):|supervisord\]|include\])", text)


def _is_compose(path: Path, text: str) -> bool:
    return COMPOSE.fullmatch(path.name) is not None and _has(r"^services\s*:", text)


def _is_procfile(path: Path, _: str) -> bool:
    return re.fullmatch(r"Procfile(?:\..+)?|.+\.procfile", path.name, re.IGNORECASE) is not None


def _is_init_script(path: Path, text: str) -> bool:
    is_named_so = path.parent.name == "init.d" or _has(r"^### BEGIN INIT INFO|^# chkconfig:", text)
    return is_named_so and SHEBANG.match(text) is not None


def _is_defaults(_: Path, text: str) -> bool:
    return _has(r"^\s*(?:export\s+)?CELERY(?:D|BEAT)?_\w+=", text) and SHEBANG.match(text) is None


def _is_script(path: Path, text: str) -> bool:
    return SHEBANG.match(text) is not None or (path.suffix == ".sh" and bool(text))


FORMATS = (
    Format("read_units", "a unit of systemd", _is_unit),
    Format("read_supervisord", "a file of supervisord", _is_of_supervisord),
    Format("read_compose", "a compose file", _is_compose),
    Format("read_procfile", "a Procfile", _is_procfile),
    Format("read_init_d", "an init.d script", _is_init_script),
    Format("read_multi", "the defaults of Celery's init scripts or of celery multi", _is_defaults),
    Format("read_entry_point", "a shell script that starts Celery", _is_script),
)
"""In this order they are recognised and read. A file that an earlier reader read, such as the EnvironmentFile= of a
unit, is not read again.
"""


def read_sources(sources: Sequence[str], environment: Mapping[str, str], root: Path = Path("/")) -> list[Reading]:
    """Return what the readers find in `sources`: files, directories, globs, names of units or init scripts.

    `environment` is the caller's, and `root` the root directory of the host. Raises as `recognised` and the readers do.
    """
    return _readings(recognised(sources, root), environment, root)


def recognised(sources: Sequence[str], root: Path) -> dict[Path, Format]:
    """Return the format of each file that `sources` mean and that has one.

    Raises ConfigurationError for a source that does not exist, ProcmanError for one that cannot be read or has no known
    format.
    """
    found: dict[Path, Format] = {}
    problems = []
    for source in sources:
        paths, is_named = _paths(source, root)
        for path in paths:
            text = _text(path, is_named=is_named)
            format_ = next((each for each in FORMATS if each.suits(path, text)), None)
            if format_ and (is_named or format_.reader in ("read_units", "read_supervisord") or _mentions(text)):
                found.setdefault(path, format_)
            elif is_named:
                problems.append(f"--from {source}: {path} has no format that procman knows")
        if not is_named and not any(path in found for path in paths):
            problems.append(f"--from {source}: {_none_of(len(paths))}")
    if problems:
        known = ", ".join(each.called for each in FORMATS)
        raise ProcmanError("\n".join(problems), hint=f"It reads: {known}; and directories or globs of these.")
    return found


def _none_of(files: int) -> str:
    if files == 0:
        return "no files found"
    what = "its only file does not start" if files == 1 else f"none of its {files} files starts"
    return f"{what} Celery in a format that procman knows"


def _readings(found: Mapping[Path, Format], environment: Mapping[str, str], root: Path) -> list[Reading]:
    readings: list[Reading] = []
    for format_ in FORMATS:
        known = {path for reading in readings for path in reading.files}
        files = [path for path, each in found.items() if each is format_ and path not in known]
        if files:
            # One reader after the other: a reader may need a library that only its format needs.
            reader = import_module(f"procman.init.importing.readers.{format_.reader}")
            readings.append(reader.read(files, environment, root))
    return readings


def _mentions(text: str) -> bool:
    """Return whether a file of a directory or glob is worth a message: a directory of scripts has many others."""
    return "celery" in text.lower()


def _paths(source: str, root: Path) -> tuple[list[Path], bool]:
    """Return the files that `source` means, and whether it names them one by one."""
    try:
        return _paths_of(source, Path(source).absolute(), root)
    except OSError as error:
        raise _unreadable(error.filename or source, error) from None


def _unreadable(path: object, error: OSError) -> ProcmanError:
    hint = "Run the same command with sudo." if isinstance(error, PermissionError) else ""
    return ProcmanError(f"cannot read {path}: {error.strerror}", hint=hint)


def _paths_of(source: str, path: Path, root: Path) -> tuple[list[Path], bool]:
    if not source:
        raise ConfigurationError([f"--from '': empty; expected {EXPECTED}"])
    if path.is_dir() and path.name.endswith(".service.d"):
        return [_drop_ins_unit(path, root)], True
    if path.is_dir():
        return _limited(source, sorted(path.iterdir())), False
    # An instance may exist only as the template beside it.
    if os.path.lexists(path) or os.path.lexists(path.with_name(_template(path.name))):
        return [path], True
    if has_magic(source):
        # Path.glob() accepts no absolute pattern.
        return _limited(source, [Path(each).absolute() for each in sorted(glob(source))]), False  # noqa: PTH207
    unit = None if "/" in source else _unit_or_script(source, root)
    if unit is None:
        raise ConfigurationError([f"--from {source}: not found; expected {EXPECTED}"])
    return [unit], True


def _limited(source: str, paths: Sequence[Path]) -> list[Path]:
    files = [each for each in paths if not LEFT_BY_EDITORS.fullmatch(each.name) and os.path.isfile(each)]  # noqa: PTH113
    if len(files) > MOST_FILES:
        raise ConfigurationError([f"--from {source}: {len(files)} files, more than {MOST_FILES}: name the files"])
    return files


def _unit_or_script(name: str, root: Path) -> Path | None:
    return next((path for path in _places(name, root) if os.path.lexists(path)), None) or next(
        # The template of an instance; the reader gets the path that names the instance.
        (path for path in _places(name, root) if os.path.lexists(path.with_name(_template(path.name)))),
        None,
    )


def _places(name: str, root: Path) -> Iterator[Path]:
    unit = name if name.endswith(".service") else f"{name}.service"
    yield from (root / directory / unit for directory in UNIT_DIRECTORIES)
    yield root / "etc/init.d" / name


def _template(unit: str) -> str:
    return re.sub(r"@[^@/]+\.service$", "@.service", unit)


def _drop_ins_unit(drop_ins: Path, root: Path) -> Path:
    """Return the unit that the drop-ins in a directory are for, beside it or elsewhere."""
    name = drop_ins.name.removesuffix(".d")
    beside = drop_ins.with_name(name)
    return beside if beside.exists() else _unit_or_script(name, root) or beside


def _text(path: Path, *, is_named: bool) -> str:
    """Return the beginning of the file; empty if it is not a regular file, or one of many and cannot be read."""
    if not os.path.lexists(path):
        return ""
    try:
        # A FIFO would block.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            is_regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
            content = file.read(LARGEST_READ) if is_regular else b""
    except OSError as error:
        if not is_named:
            return ""
        raise _unreadable(path, error) from None
    return "" if b"\0" in content else content.decode("utf-8", "replace")
