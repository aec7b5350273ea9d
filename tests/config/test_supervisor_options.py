"""The raw options of a program section, compared with those that supervisor itself reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from supervisor.options import ServerOptions, UnhosedConfigParser

from procman.config.supervisor_options import FREE, RESERVED
from tests.config.documents import problems_with, read_rest
from tests.tables import for_each


class Recorder(UnhosedConfigParser):  # type: ignore[misc]
    """Records the options that supervisor reads."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def saneget(self, section: str, option: str, *arguments: Any, **named: Any) -> Any:
        self.asked.add(option)
        return super().saneget(section, option, *arguments, **named)


def test_known_options_are_those_that_supervisor_reads() -> None:
    parser = Recorder()
    parser.read_string("[program:x]\ncommand=/bin/cat\n")
    ServerOptions().processes_from_section(parser, "program:x", "x")
    assert set(FREE) | set(RESERVED) == parser.asked
    assert not set(FREE) & set(RESERVED)


VALUES = {
    "exitcodes": ("0,2", "0,2"),
    "priority": ("5", 5),
    "serverurl": ("unix:///run/x.sock", "unix:///run/x.sock"),
    "startretries": ("7", 7),
    "stderr_capture_maxbytes": ("1MB", "1MB"),
    "stderr_events_enabled": ("true", True),
    "stderr_syslog": ("false", False),
    "stdout_capture_maxbytes": ("1024", 1024),
    "stdout_events_enabled": ("true", True),
    "stdout_syslog": ("true", True),
}


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool | int) else f'"{value}"'


def test_every_free_option_is_passed_on(tmp_path: Path) -> None:
    lines = "\n".join(f"{name} = {_toml(value)}" for name, (_, value) in VALUES.items())
    project = read_rest(tmp_path, f"[worker.a.supervisor]\n{lines}\n[beat]")
    worker, beat = project.programs
    assert set(VALUES) == set(FREE)
    assert worker.supervisor_options == {name: text for name, (text, _) in VALUES.items()}
    assert beat.supervisor_options == {}


@for_each("name", RESERVED)
def test_reserved_option_is_refused_with_the_reason(tmp_path: Path, name: str) -> None:
    assert problems_with(tmp_path, f"[beat.supervisor]\n{name} = 1") == [
        f"FILE:8: beat.supervisor.{name}: cannot be set: {RESERVED[name]}"
    ]


def test_misspelt_option_is_refused(tmp_path: Path) -> None:
    assert problems_with(tmp_path, "[beat.supervisor]\nprioriti = 1") == [
        (
            "FILE:8: beat.supervisor.prioriti: "
            "unknown option, which supervisord would ignore silently; did you mean priority?"
        )
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('priority = "high"', "expected a whole number from 0 to 999999"),
        ("priority = true", "expected a whole number from 0 to 999999 (found true)"),
        ("priority = 1.5", "expected a whole number from 0 to 999999 (found 1.5)"),
        ('stdout_syslog = "true"', "expected true or false (remove the quotes)"),
        ('stdout_capture_maxbytes = "1TB"', 'expected a number of bytes, or a size such as "1MB"'),
        ("stdout_capture_maxbytes = -1", 'expected a number of bytes, or a size such as "1MB" (found -1)'),
        ("stdout_capture_maxbytes = true", 'expected a number of bytes, or a size such as "1MB" (found true)'),
        ('exitcodes = "0 2"', 'expected an exit status, or several such as "0,2"'),
        (
            "exitcodes = 1979-05-27",
            'expected an exit status, or several such as "0,2" (found a date or time: put strings in quotes)',
        ),
        ('serverurl = "AUTO\\n[program:evil]"', '"AUTO", or where supervisord listens'),
        (
            'serverurl = "http://u:hunter2@h"',
            "it contains a password, and other users can read the files that procman writes",
        ),
    ],
)
def test_value_that_supervisord_does_not_accept_is_refused(tmp_path: Path, line: str, problem: str) -> None:
    (found,) = problems_with(tmp_path, f"[beat.supervisor]\n{line}")
    assert found.startswith(f"FILE:8: beat.supervisor.{line.partition(' ')[0]}: ")
    assert problem in found
