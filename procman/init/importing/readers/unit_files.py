"""Find a systemd unit with its drop-ins, and the instances of a template (systemd.unit(5))."""

from __future__ import annotations

import glob
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
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
class Place:
    """The directories in which systemd looks for one unit and its drop-ins."""

    directories: tuple[Path, ...]
    is_of_host: bool
    enabled: frozenset[str]
    """The units that a link in a `.wants` or `.requires` directory starts."""
    aliases: Mapping[str, Sequence[str]]
    """The other names of each fragment."""


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
    place_of = cache(lambda directory: _place(directory, _directories(root)))
    units: dict[tuple[str, Path], Unit] = {}
    templates: list[Path] = []
    for file in files:
        for name, fragment in _named(file, root):
            place = place_of(fragment.parent)
            names = _instances(name, place) if _is_template(name) else [name]
            templates += [] if names else [fragment]
            for each in names:
                units.setdefault((each, fragment), _unit(each, fragment, place))
    # A template in a directory may have an instance that was given as well.
    return list(units.values()), [path for path in templates if path not in {each.fragment for each in units.values()}]


def unit_in(file: Path, root: Path) -> Unit:
    """Return the unit in `file`, which may be a template without an instance, with its drop-ins. Raises ProcmanError.

    A file that is not named like a service has none.
    """
    if file.suffix == SERVICE:
        return _unit(file.name, file, _place(file.absolute().parent, _directories(root)))
    return Unit(file.name, file, tuple(_placed(file)), (file,), is_of_host=False, is_enabled=False)


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


def _place(directory: Path, of_host: Sequence[Path]) -> Place:
    is_of_host = os.path.realpath(directory) in map(os.path.realpath, of_host)
    directories = tuple(of_host) if is_of_host else (directory,)
    kinds = ("wants", "requires")
    enabled = {path.name for each in directories for kind in kinds for path in each.glob(f"*.{kind}/*{SERVICE}")}
    aliases = defaultdict[str, list[str]](list)
    for path in (path for each in directories for path in each.glob(f"*{SERVICE}")):
        if path.is_symlink() and "@" not in path.name:
            aliases[os.path.realpath(path)].append(path.name)
    return Place(directories, is_of_host, frozenset(enabled), aliases)


def _unit(name: str, fragment: Path, place: Place) -> Unit:
    aliases = place.aliases.get(os.path.realpath(fragment), ())
    files = [fragment, *_drop_ins([name, *aliases], place.directories)]
    settings = [each for file in files for each in _placed(file)]
    return Unit(name, fragment, tuple(settings), tuple(files), place.is_of_host, name in place.enabled)


def _placed(file: Path) -> Iterator[Placed]:
    for each in settings_of(content_of(file)):
        yield Placed(f"{each.section}.{each.name}", each.value, file, each.line)


def _drop_ins(names: Iterable[str], directories: Sequence[Path]) -> list[Path]:
    """Return the drop-ins in the order in which systemd reads them: by file name, wherever they are.

    Of several with one file name, only the first counts: by directory, and from the most specific name to that of the
    type. One that is empty or a link to /dev/null only hides the others. `names` has the unit's own first.
    """
    places = [directory / f"{part}.d" for name in names for directory in directories for part in _names_of(name)]
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


def _instances(name: str, place: Place) -> list[str]:
    """Return the enabled instances of the template `name`."""
    return [each for each in sorted(place.enabled) if each != name and _template_of(each) == name]
