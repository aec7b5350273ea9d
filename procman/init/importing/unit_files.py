"""Find a systemd unit with its drop-ins, and the instances of a template (systemd.unit(5))."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from procman.errors import ProcmanError
from procman.host.local_units import UNIT_DIRECTORIES
from procman.host.unit_file import settings_of
from procman.host.unit_names import unit_at
from procman.init.importing.contents import content_of

SERVICE = ".service"
MOST_UNITS = 1000

NEVER_RESET = ("Unit", "Install")
"""Sections whose lists, such as After=, an empty assignment does not reset."""


@dataclass(frozen=True)
class Placed:
    """One setting and its place."""

    name: str
    """With its section: `Service.ExecStart`."""
    value: str
    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Unit:
    """A unit with its drop-ins."""

    name: str
    """With its instance: `celery@mail.service`."""
    fragment: Path
    settings: tuple[Placed, ...]
    """In the order in which systemd reads them."""
    files: tuple[Path, ...]
    is_of_host: bool
    """Whether the systemd of the host reads it, so that its links show whether it starts at boot."""
    is_enabled: bool
    """Whether a link of another unit starts it."""

    def all(self, name: str) -> list[Placed]:
        """Return the settings of this name that are in effect: those after the last empty one."""
        found: list[Placed] = []
        for each in self.settings:
            if each.name == name:
                found = [] if not each.value and name.split(".")[0] not in NEVER_RESET else [*found, each]
        return [each for each in found if each.value]

    def last(self, name: str) -> Placed | None:
        """Return the setting of this name that is in effect; None if it has its default."""
        return next(reversed(self.all(name)), None)

    def value(self, name: str, default: str = "") -> str:
        """Return the value of this name that is in effect."""
        found = self.last(name)
        return found.value if found else default


def find_units(files: Sequence[Path], root: Path) -> tuple[list[Unit], list[Path]]:
    """Return the services that `files` name, and the templates of which no instance is enabled or given.

    Each of `files` is a path, the name of a unit, with or without an instance, a directory or a pattern. Names are
    searched for in the unit directories of the host, whose root directory is `root`. Raises ProcmanError.
    """
    units: dict[tuple[str, Path], Unit] = {}
    templates: list[Path] = []
    for file in files:
        for name, fragment in _named(file, root):
            names = _instances(fragment, name, root) if _is_template(name) else [name]
            templates += [] if names else [fragment]
            for each in names:
                units.setdefault((each, fragment), _unit(each, fragment, root))
    # A template in a directory may have an instance that was given as well.
    return list(units.values()), [path for path in templates if path not in {each.fragment for each in units.values()}]


def _named(file: Path, root: Path) -> list[tuple[str, Path]]:
    """Return the unit, or units, that `file` names, each with its fragment."""
    if file.is_dir() and not file.name.endswith(f"{SERVICE}.d"):
        paths = [each for each in sorted(file.glob(f"*{SERVICE}")) if each.is_file()]
    elif glob.has_magic(str(file)) and not file.exists():
        # pathlib would not take an absolute pattern.
        paths = [Path(name) for name in sorted(glob.glob(str(file)))]  # noqa: PTH207
    else:
        return [_one(file, root)]
    if not paths:
        raise ProcmanError(f"{file}: no systemd service found", hint="Name the units that run Celery.")
    if len(paths) > MOST_UNITS:
        raise ProcmanError(f"{file}: more than {MOST_UNITS} units", hint="Name the units that run Celery.")
    return list(dict.fromkeys(_one(path, root) for path in paths))


def _one(file: Path, root: Path) -> tuple[str, Path]:
    name = unit_at(file) or f"{file.name}{SERVICE}"
    beside = file.absolute().parent.parent if file.name != name and file.suffix == ".conf" else file.absolute().parent
    places = [beside] if file.is_absolute() or len(file.parts) > 1 or file.exists() else _directories(root)
    for candidate in dict.fromkeys((name, _template_of(name))):
        for directory in places:
            path = directory / candidate
            if path.is_file() or path.is_symlink():
                return _resolved(name, path)
    where = beside if len(places) == 1 else "the unit directories of this host"
    raise ProcmanError(f"{name}: no such unit in {where}", hint="Name a unit, or the path of its file.")


def _resolved(name: str, path: Path) -> tuple[str, Path]:
    target = Path(os.path.realpath(path))
    if target == Path(os.devnull):
        raise ProcmanError(f"{path}: the unit is masked", hint="Name another unit.")
    if path.is_symlink() and target.suffix == SERVICE and target.name not in (name, _template_of(name)):
        # An alias; an instance keeps its own name.
        name = target.name
    return name, target if path.is_symlink() else path


def _directories(root: Path) -> list[Path]:
    """Return the existing unit directories of the host, the first of those that are one."""
    found: dict[str, Path] = {}
    for each in UNIT_DIRECTORIES:
        if (root / each).is_dir():
            found.setdefault(os.path.realpath(root / each), root / each)
    return list(found.values())


def _searched(fragment: Path, root: Path) -> tuple[list[Path], bool]:
    """Return where the drop-ins of `fragment` are, and whether that is where the systemd of the host looks."""
    directories = _directories(root)
    is_of_host = os.path.realpath(fragment.parent) in map(os.path.realpath, directories)
    return (directories if is_of_host else [fragment.parent]), is_of_host


def _unit(name: str, fragment: Path, root: Path) -> Unit:
    directories, is_of_host = _searched(fragment, root)
    files = [fragment, *_drop_ins({name, fragment.name, *_aliases(fragment, directories)}, name, directories)]
    settings = [
        Placed(f"{each.section}.{each.name}", each.value, file, each.line)
        for file in files
        for each in settings_of(content_of(file))
    ]
    return Unit(name, fragment, tuple(settings), tuple(files), is_of_host, name in _enabled(directories))


def _aliases(fragment: Path, directories: Iterable[Path]) -> Iterator[str]:
    for directory in directories:
        for path in directory.glob(f"*{SERVICE}"):
            if path.is_symlink() and os.path.realpath(path) == str(fragment) and "@" not in path.name:
                yield path.name


def _drop_ins(names: Iterable[str], name: str, directories: Sequence[Path]) -> list[Path]:
    """Return the drop-ins in the order in which systemd reads them: by file name, wherever they are.

    Of several with one file name, only the first counts: by directory, and from the most specific name to that of the
    type. One that is empty or a link to /dev/null only hides the others.
    """
    ordered = [name, *sorted(each for each in names if each != name)]
    places = [directory / f"{part}.d" for each in ordered for directory in directories for part in _names_of(each)]
    places += [directory / f"{SERVICE[1:]}.d" for directory in directories]
    found: dict[str, Path] = {}
    for place in dict.fromkeys(places):
        for path in sorted(place.glob("*.conf")):
            found.setdefault(path.name, path)
    return [path for _, path in sorted(found.items()) if os.path.realpath(path) != os.devnull]


def _names_of(name: str) -> Iterator[str]:
    """Yield the names whose drop-ins `name` has, the first before the others (measured with systemd 252).

    For a-b@c.service: a-b@c.service, a-b@.service, a-.service, a-@c.service, a-@.service.
    """
    prefix, at, instance = name.removesuffix(SERVICE).partition("@")
    yield from dict.fromkeys((name, _template_of(name)))
    shorter = list(_prefixes(prefix))
    yield from (f"{each}{SERVICE}" for each in shorter)
    if at:
        yield from (f"{each}@{part}{SERVICE}" for each in shorter for part in dict.fromkeys((instance, "")))


def _prefixes(prefix: str) -> Iterator[str]:
    while "-" in prefix.rstrip("-"):
        prefix = prefix.rstrip("-")
        prefix = prefix[: prefix.rfind("-") + 1]
        yield prefix


def _is_template(name: str) -> bool:
    return name.endswith(f"@{SERVICE}")


def _template_of(name: str) -> str:
    prefix, at, _ = name.partition("@")
    return f"{prefix}@{SERVICE}" if at else name


def _instances(fragment: Path, name: str, root: Path) -> list[str]:
    """Return the enabled instances of the template `name`."""
    directories, _ = _searched(fragment, root)
    return [each for each in sorted(_enabled(directories)) if each != name and _template_of(each) == name]


def _enabled(directories: Iterable[Path]) -> set[str]:
    """Return the units that a link in a `.wants` or `.requires` directory starts."""
    kinds = ("wants", "requires")
    return {path.name for each in directories for kind in kinds for path in each.glob(f"*.{kind}/*{SERVICE}")}
