"""Hostile content of procman.toml: no traceback, every problem names its file, accepted values can be rendered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies

from procman.backends import backend_named
from procman.config import keys, supervisor_options, systemd_directives
from procman.config.load import load
from procman.errors import ConfigurationError
from procman.model import BackendName
from procman.project import Project
from tests.config.documents import HOME, PROJECT
from tests.config.test_every_key import OTHER_VALUES, USUAL
from tests.config.test_toml_lines import toml
from tests.hostile import HOSTILE, REFUSED, TEXTS, examples

NAMES = sorted(
    {
        *keys.TABLES,
        *keys.DEFAULTS_TABLES,
        *OTHER_VALUES,
        *("directives", "celery", "crop", "Crop", "PATH", "DB_PASSWORD", "A", "A B"),
        *list(supervisor_options.FREE),
        *list(systemd_directives.FREE)[:10],
    }
)
KEYS = strategies.sampled_from(NAMES) | TEXTS.filter(lambda text: text.isprintable())
SCALARS = (
    strategies.sampled_from([*OTHER_VALUES.values(), 0, 1, 10**30, True, 1.5, "info", "/a/b", "a@%h", "x"])
    | strategies.sampled_from([text for text in HOSTILE if len(text) < 50])
    | strategies.integers()
    | TEXTS.filter(lambda text: text.isprintable())
)
TABLES = strategies.recursive(
    SCALARS,
    lambda inner: strategies.lists(inner, max_size=3) | strategies.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)
DOCUMENTS = strategies.dictionaries(KEYS, TABLES, max_size=6)


def _judge(path: Path) -> Project | None:
    """Return the project; None if the file is refused. Every problem must name the file."""
    problems: tuple[str, ...] = ()
    try:
        return load(path, HOME)
    except ConfigurationError as error:
        problems = error.problems
    assert problems
    for problem in problems:
        assert problem.startswith(str(path))
        assert problem.isprintable()
    return None


@pytest.mark.thorough
@settings(
    max_examples=examples(50),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(DOCUMENTS)
def test_any_document_is_read_or_refused(tmp_path: Path, document: dict[str, Any]) -> None:
    path = tmp_path / "procman.toml"
    path.write_text("".join(f"{toml(key)} = {toml(value)}\n" for key, value in document.items()), encoding="utf-8")
    _judge(path)


BYTES = (
    PROJECT + "[worker.celery]\nqueues = ['a', \"b\"]\n[beat]\n[worker.celery.environment]\nA = '''x\ny'''\n"
).encode()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(strategies.integers(0, len(BYTES)), strategies.integers(0, 20), strategies.binary(max_size=4))
@example(0, len(BYTES), b"")
@example(0, 0, b"\xff\xfe")
def test_damaged_file_gives_a_message_and_no_traceback(tmp_path: Path, at: int, cut: int, put: bytes) -> None:
    path = tmp_path / "procman.toml"
    path.write_bytes(BYTES[:at] + put + BYTES[at + cut :])
    _judge(path)


LOOSE: dict[str, dict[str, str | list[str]]] = {
    "project": {
        "directory": "/opt/{}",
        "virtualenv": "/opt/{}",
        "environment_file": "/opt/{}",
        "python_path": ["/opt/{}"],
        "writable_paths": ["/opt/{}", "{}"],
    },
    "worker.celery": {"queues": ["{}"], "hostname": "{}@%h", "extra_arguments": ["{}", "--x={}"]},
    "beat": {"schedule_file": "/opt/{}/x"},
    "command.flower": {"argv": ["{}", "{}"]},
    "command.flower.environment": {"A": "{}"},
}
"""Keys that accept nearly any string, and how a string becomes their value."""


def _filled(form: str | list[str], text: str) -> str | list[str]:
    return form.format(text) if isinstance(form, str) else [each.format(text) for each in form]


def _merged(text: str, accepted: set[str] | None = None) -> dict[str, dict[str, Any]]:
    """Return the usual tables with `text` in every loose key, or only in the `accepted` ones."""
    tables = {table: dict(values) for table, values in USUAL.items()}
    for table, forms in LOOSE.items():
        for name, form in forms.items():
            if accepted is None or f"{table}.{name}" in accepted:
                tables.setdefault(table, {})[name] = _filled(form, text)
    return tables


def _refused(directory: Path, tables: dict[str, dict[str, Any]]) -> set[str]:
    """Return the keys that have a problem."""
    with pytest.raises(ConfigurationError) as raised:
        _read(directory, tables)
    return {problem.split(": ")[1] for problem in raised.value.problems}


ALL = {f"{table}.{name}" for table, forms in LOOSE.items() for name in forms}


@pytest.mark.thorough
@pytest.mark.parametrize("backend", ["supervisor", "systemd"])
def test_accepted_string_can_be_rendered(tmp_path: Path, backend: str) -> None:
    rendered = set()
    for text in (each for each in HOSTILE if len(each) < 50):
        desired = _merged(text)
        # One more mistake, so that the file is always refused.
        wrong = desired | {"project": desired["project"] | {"backend": backend, "scope": "no"}}
        accepted = ALL - _refused(tmp_path, wrong)
        tables = _merged(text, accepted)
        tables["project"]["backend"] = backend
        files = backend_named(BackendName(backend)).render(_read(tmp_path, tables)).files
        assert files
        rendered |= accepted
    assert rendered == ALL


def test_unprintable_string_is_refused_everywhere(tmp_path: Path) -> None:
    for text in REFUSED:
        if not any(0xD800 <= ord(character) <= 0xDFFF for character in text):
            assert ALL - _refused(tmp_path, _merged(text)) == set()


def _read(directory: Path, tables: dict[str, dict[str, Any]]) -> Project:
    path = directory / "procman.toml"
    path.write_text("".join(f"[{table}]\n{_lines(values)}" for table, values in tables.items()), encoding="utf-8")
    return load(path, HOME)


def _lines(values: dict[str, Any]) -> str:
    return "".join(f"{name} = {toml(value)}\n" for name, value in values.items())
