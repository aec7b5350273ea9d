"""S1 for whole projects: with any text in procman.toml, readers see the same programs, users and lines."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from procman.backends import backend_named
from procman.config.load import load
from procman.config.toml_lines import dotted
from procman.errors import ConfigurationError
from procman.project import Project, RenderedFile
from tests.config.documents import HOME
from tests.config.test_every_key import OTHER_VALUES, TABLES, USUAL
from tests.config.test_toml_lines import toml
from tests.hostile import HOSTILE, REFUSED, TEXTS, examples
from tests.read_by_supervisor import NEWEST, Reader, reader
from tests.read_by_systemd import SYSTEMD, read_units

Tables = dict[str, dict[str, Any]]

DECIDING = ("name", "scope", "backend", "mode", "autoscale", "templates", "user", "include", "configuration")
"""Keys that decide which files are compared."""

TEXT_KEYS = [
    (table, key.name)
    for table, keys in TABLES.items()
    for key in keys
    if isinstance(OTHER_VALUES[key.name], str | list) and key.name not in DECIDING
]
"""Every other key that takes text."""

FREE_TABLES = ("environment", "worker.celery.environment", "worker.celery.systemd", "systemd.directives")
"""Tables with arbitrary values; those of the first two also have arbitrary names."""

FORMS = ("{}", "/opt/{}", "/opt/{}/x", "--x={}", "{}@%h")
"""Forms in which a key may accept a text."""

NAMES = {"catmaid-celery", "catmaid-celery-beat", "catmaid-flower"}


def _usual(backend: str) -> Tables:
    tables: Tables = {name: dict(values) for name, values in USUAL.items()}
    tables["project"]["backend"] = backend
    return tables


def _load(directory: Path, tables: Tables) -> Project:
    path = directory / "procman.toml"
    lines = (
        f"[{table}]\n" + "".join(f"{_key(name)} = {toml(each)}\n" for name, each in values.items())
        for table, values in tables.items()
    )
    path.write_text("".join(lines), encoding="utf-8")
    return load(path, HOME)


def _key(name: str) -> str:
    return toml({name: 0})[2:].partition(" = 0")[0]


def _refused(directory: Path, tables: Tables) -> set[str]:
    """Return the keys that problems are reported for."""
    try:
        _load(directory, tables)
    except ConfigurationError as error:
        return {problem.split(": ")[1] for problem in error.problems}
    return set()


def _accepted(directory: Path, backend: str, text: str) -> Tables:
    """Return the tables with `text` in every place that accepts it, in the first form that is accepted."""
    tables = _usual(backend)
    free = [(table, name) for table in FREE_TABLES for name in ("A", text, "BindPaths", "IPAddressAllow")]
    left = [*TEXT_KEYS, *free]
    for form in FORMS:
        tried = _with(tables, left, form.format(text))
        while refused := _refused(directory, tried):
            gone = [(table, name) for table, name in left if _is_among(table, name, refused)]
            assert gone, refused
            for table, name in gone:
                tried.get(table, {}).pop(name, None)
                if name in USUAL.get(table, {}):
                    tried[table][name] = USUAL[table][name]
        tables = tried
        left = [
            (table, name) for table, name in left if tables.get(table, {}).get(name) == USUAL.get(table, {}).get(name)
        ]
    return tables


def _with(tables: Tables, places: Sequence[tuple[str, str]], text: str) -> Tables:
    found = {table: dict(values) for table, values in tables.items()}
    for table, name in places:
        is_list = isinstance(OTHER_VALUES.get(name), list)
        found.setdefault(table, {})[name] = [text, text] if is_list else text
    return found


def _is_among(table: str, name: str, refused: Collection[str]) -> bool:
    return not _ways_to_write(table, name).isdisjoint(refused)


@cache
def _ways_to_write(table: str, name: str) -> frozenset[str]:
    return frozenset((f"{table}.{name}", f"{table}.{dotted(name)}"))


def _harmless(tables: Tables) -> Tables:
    """Return the tables with the same keys, each with a value that is meaningless to every reader."""
    plain: Tables = {}
    for table, values in tables.items():
        for name, value in values.items():
            as_usual = name == "backend" or USUAL.get(table, {}).get(name) == value
            plain.setdefault(table, {})[name] = value if as_usual else _plain(table, name, value)
        plain.setdefault(table, {})
    return plain


def _plain(table: str, name: str, value: Any) -> Any:
    if table.endswith(("environment",)):
        return "x"
    if table.endswith(("systemd", "directives")):
        return "/opt/x" if name == "BindPaths" else "any"
    usual = OTHER_VALUES[name]
    return [usual[0]] * len(value) if isinstance(usual, list) else value if name in CHOICES else usual


CHOICES = ("loglevel", "pool", "optimization", "sandbox", "log", "minimum_version", "umask")


def _rendered(project: Project) -> tuple[RenderedFile, ...]:
    return backend_named(project.backend).render(project).files


def _outline(file: RenderedFile) -> list[str]:
    """Return the first word of each line of a file: sections, options, directives, the words of a script.

    logrotate's file has the path of a log there.
    """
    words = [re.split(r"[=\s]", line, maxsplit=1)[0] for line in file.content.split("\n")]
    return ["/" if word.startswith("/") else word for word in words]


def _compare(hostile: Sequence[RenderedFile], harmless: Sequence[RenderedFile], text: str) -> None:
    """Check that no file has another line than without `text`."""
    assert [file.mode for file in hostile] == [file.mode for file in harmless]
    for file, plain in zip(hostile, harmless, strict=True):
        names = [f"{each}" for each in _outline(file)]
        expected = _outline(plain)
        assert len(names) == len(expected), (text, file.path)
        assert names == expected, (text, file.path)
        assert (file.owner, file.programs) == (plain.owner, plain.programs)


@pytest.fixture(scope="module")
def supervisor() -> Iterator[Reader]:
    """The parser of supervisor itself."""
    with reader(NEWEST) as started:
        yield started


def _seen(supervisor: Reader, files: Sequence[RenderedFile], text: str) -> tuple[list[str], dict[str, list[object]]]:
    """Return what supervisord would load: sections, programs, their users, and how they are stopped."""
    included = "".join(file.content for file in files if file.section)
    found = supervisor.read(re.sub("(?<=_logfile=)/.*", lambda log: f"/tmp/{log[0].replace('/', '_')}", included))
    assert "error" not in found, (text, found)
    promised = ("user", "stopasgroup", "killasgroup", "stopsignal", "autorestart")
    programs = {name: [program[each] for each in promised] for name, program in found["programs"].items()}
    return sorted(found["sections"]), programs


def _units(files: Sequence[RenderedFile], number: int) -> Mapping[str, str]:
    return {
        file.path.name.replace("catmaid", f"catmaid{number}", 1): file.content
        for file in files
        if file.path.suffix == ".service"
    }


Pair = tuple[Sequence[RenderedFile], Sequence[RenderedFile]]


def _try(directory: Path, backend: str, text: str) -> Pair:
    """Return the files with `text` in every possible place, and those without it; check that their lines agree."""
    tables = _accepted(directory, backend, text)
    hostile = _rendered(_load(directory, tables))
    harmless = _rendered(_load(directory, _harmless(tables)))
    _compare(hostile, harmless, text)
    return hostile, harmless


SHORT = [text for text in (*HOSTILE, *REFUSED) if 0 < len(text) < 50 and "\ud800" not in text and "\udc80" not in text]
"""A procman.toml cannot contain lone surrogates."""


@pytest.mark.thorough
def test_no_text_injects_anything_into_supervisord_files(tmp_path: Path, supervisor: Reader) -> None:
    for text in SHORT:
        hostile, harmless = _try(tmp_path, "supervisor", text)
        seen = _seen(supervisor, hostile, text)
        assert seen == _seen(supervisor, harmless, text)
        assert {f"program:{name}" for name in NAMES} < set(seen[0])


@pytest.mark.thorough
@pytest.mark.skipif(SYSTEMD is None, reason="no systemd on this machine: apt-get install systemd")
def test_no_text_injects_anything_into_systemd_files(tmp_path: Path) -> None:
    units: dict[str, str] = {}
    for number, text in enumerate(SHORT):
        hostile, _ = _try(tmp_path, "systemd", text)
        units |= _units(hostile, number)
    # systemd must be able to load every unit: one that it refuses would not run at all.
    assert read_units(units).keys() == units.keys()


@pytest.mark.thorough
@settings(
    max_examples=examples(8),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(TEXTS.filter(lambda text: text and not any(0xD800 <= ord(each) <= 0xDFFF for each in text)))
def test_random_text_injects_nothing(tmp_path: Path, supervisor: Reader, text: str) -> None:
    hostile, harmless = _try(tmp_path, "supervisor", text)
    assert _seen(supervisor, hostile, text) == _seen(supervisor, harmless, text)
    _try(tmp_path, "systemd", text)
