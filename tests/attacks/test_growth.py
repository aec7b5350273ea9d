"""R10: the time to read a text of another user grows with its length only, whatever the text is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from procman.agent.environment_file import parse_environment_file
from procman.backends.supervisor.configuration.redaction import without_content
from procman.backends.supervisor.configuration.sections import read_options
from procman.celery_cli.parse import read_command
from procman.celery_cli.start_script import read_script
from procman.config.document import Document
from procman.config.toml_lines import last_before, texts_of
from procman.errors import ProcmanError
from procman.host.unit_words import span_seconds
from procman.init.app_modules import NAMED_MODULE
from procman.init.look_below import APP
from procman.init.settings_modules import SETTINGS
from procman.init.virtualenvs import CONDA_NAME, MAPPED
from procman.lint.find_celery import recognise
from procman.lint.inputs import Reader
from procman.lint.suppressions import suppressions_in
from procman.lint.syntax_rules import NODE_NAME
from procman.monitoring.supervisord_listener import HEADER
from tests.growth import grows_linearly

READERS: dict[str, tuple[Callable[[str], object], tuple[str, ...]]] = {
    "environment file": (parse_environment_file, (" ", "\t", "a", "a=", "a='", 'a="\\', "\\", "'", '"', "\\\n", "a= ")),
    "start script": (
        lambda text: read_script(text, Path("/"), {}),
        ("\n", ";", "a\n", "'", '"', "$", "\\", "exec ", "1<"),
    ),
    "command in a section": (
        lambda text: recognise("x", ["/bin/run", text], Path("/"), {}),
        ("celery", "celery ", "celery\n", "beat"),
    ),
    "shell command in a section": (
        lambda text: recognise("x", ["sh", "-c", f"celery worker {text}"], Path("/"), {}),
        ("\n", " ", "; trap ", "\ntrap TERM", "setpriv ", "; su", "/a/", "exec", "; ", "\n exec "),
    ),
    "comment that ignores a finding": (
        lambda text: suppressions_in(Path("x.conf"), f"[a]\n{text}", Reader.SUPERVISOR),
        ("# ", "#procman: ignore ", "# procman: ignore PM901 ", "PM901, ", "because ", " ", "[", "\n"),
    ),
    "arguments": (
        lambda text: read_command(["celery", "worker", *text.split(" ")]),
        ("-x ", "--y ", "--y=z ", "-n ", "a "),
    ),
    "time span": (span_seconds, ("1", "1.", "1s ", " ")),
    "node name": (NODE_NAME.search, ("-n", "-n ", "-nx", "--hostname=")),
    "source of the project": (
        lambda text: (APP.findall(text), SETTINGS.findall(text), NAMED_MODULE.findall(text)),
        ("import ", "\nimport a", "'a", '"a.b', "a", "a\n", "a=", "a: ", "_Celery", "x=_Celery", "\n", " "),
    ),
    "files of virtualenvs": (
        lambda text: (CONDA_NAME.findall(text), MAPPED.findall(text)),
        ("name:", "name: ", "name:\t", "a", "'", "'a': '/", "': '", "\n", " "),
    ),
    "message of supervisor": (
        without_content,
        ("file: ", "file: a, line: 1", "[line 1", "Format string ", " for '", ". Available names: a, ", "a, "),
    ),
    "section of supervisor": (
        lambda text: read_options(Path("x.conf"), f"[a]\nb{text}\n"),
        (" ", " ;", ";", "=", "a", "\nb", ":", " =", "[", "]"),
    ),
    "header of supervisord": (lambda text: HEADER.match(text.encode()), ("len:", "len:1", " ", "len:1 ")),
    "procman.toml": (
        lambda text: Document(Path("procman.toml"), text),
        ("a.", "a.b = 1\n", "[a.", "'a'.", "a = [", '"', "'''", '"""', "#", "\n", "1"),
    ),
    "an invalid procman.toml": (
        lambda text: (last_before(f"x y\n{text}", 1), texts_of(text, "project")),
        ("a.", "a = {", "{", "a = [", "'", '"', '"""', '"""\\', "[[", "a=1,"),
    ),
}


@pytest.mark.thorough
@pytest.mark.parametrize(("read", "units"), READERS.values(), ids=list(READERS))
def test_time_grows_with_the_length_only(read: Callable[[str], object], units: tuple[str, ...]) -> None:
    def call(text: str) -> None:
        # Many of these texts are refused, which must not take longer either.
        with suppress(ProcmanError, ValueError):
            read(text)

    assert [unit for unit in units if not grows_linearly(call, unit, 3_000)] == []


def test_key_with_thousands_of_parts_is_refused_at_once() -> None:
    """Of 400 kB, tomllib would make gigabytes."""
    for value in ("a = 1\n", ""):
        with pytest.raises(ProcmanError, match=r"procman\.toml:2: this key has too many parts"):
            Document(Path("procman.toml"), f"[project]\n{'a.' * 200_000}{value}")


def test_dots_in_a_string_are_no_parts_of_a_key() -> None:
    text = f'[project]\nname = "{"a." * 1000}"\nqueues = [{"1.5, " * 500}]\n'
    assert Document(Path("procman.toml"), text).root
