"""The line of a log that names why a program ended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from procman.host.log_file import BLOCK
from procman.monitoring.last_error import error_line, last_error
from tests.monitoring.checks.records import MANIFEST, program
from tests.tables import for_each

IMPORT_ERROR = """Usage: celery [OPTIONS] COMMAND [ARGS]...
Try 'celery --help' for help.

Error: Invalid value for '-A' / '--app':
Unable to load celery application.
While trying to load the module shop the following error occurred:
Traceback (most recent call last):
  File "/srv/env/lib/celery/bin/celery.py", line 58, in convert
    return find_app(value)
           ^^^^^^^^^^^^^^^
ModuleNotFoundError: No module named 'shop'

"""
CHAINED = """Traceback (most recent call last):
  File "a.py", line 1, in <module>
KeyError: 'x'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "b.py", line 2
    raise Broken(
amqp.exceptions.PreconditionFailed: Queue.declare: (406) PRECONDITION_FAILED - inequivalent arg 'x-ttl'
and its second line
[2026-11-29 10:00:00,000: INFO/MainProcess] Connected again
"""
NO_MODULE = """Error:
Unable to load celery application.
The module shop was not found.
"""
LOGGED = """[2026-11-29 10:00:00,000: CRITICAL/MainProcess] Unrecoverable error: AccessRefused(403, 'ACCESS_REFUSED')
[2026-11-29 10:00:01,000: INFO/MainProcess] Bye
"""


@for_each(
    ("log", "line"),
    [
        (IMPORT_ERROR, "ModuleNotFoundError: No module named 'shop'"),
        (
            CHAINED,
            "amqp.exceptions.PreconditionFailed: Queue.declare: (406) PRECONDITION_FAILED - inequivalent arg 'x-ttl'",
        ),
        (NO_MODULE, "Unable to load celery application. The module shop was not found."),
        ("Error: No such option '-Z'\n", "Error: No such option '-Z'"),
        (LOGGED, LOGGED.splitlines()[0]),
        (IMPORT_ERROR + LOGGED, LOGGED.splitlines()[0]),
        ("starting\nout of paper\n\n", "out of paper"),
        ("", ""),
        ("Traceback (most recent call last):\n  File", "File"),
    ],
)
def test_line_that_names_the_error_is_chosen(log: str, line: str) -> None:
    assert error_line(log.splitlines()) == line


def found(log: bytes, directory: Path, *, cannot_start: bool = False, secret: str = "") -> str:
    file, environment = directory / "log", directory / "env"
    file.write_bytes(log)
    environment.write_text(f"SHOP_KEY={secret}\n")
    manifest = replace(MANIFEST, environment_file=environment)
    return last_error(manifest, program(log_file=str(file)), cannot_start=cannot_start)


def test_secrets_and_control_characters_are_not_shown(tmp_path: Path) -> None:
    log = b"ValueError: \x1b[31mqJ7+w/2m9x!K amqp://u:p4ss@h\n"
    assert found(log, tmp_path, secret="qJ7+w/2m9x!K") == r"ValueError: \x1b[31m*** amqp://u:***@h"


def test_reason_of_the_launcher_is_shown_if_it_could_not_start_the_program(tmp_path: Path) -> None:
    log = b"ValueError: of yesterday\ndemo-celery: /etc/demo.env:3: `export` is not allowed\nbye\n"
    assert found(log, tmp_path, cannot_start=True) == "/etc/demo.env:3: `export` is not allowed"
    assert found(log, tmp_path) == "ValueError: of yesterday"


def test_only_the_end_of_a_long_log_is_read_and_of_a_long_line_the_beginning(tmp_path: Path) -> None:
    assert found(b"ValueError: old\n" + b"x\n" * BLOCK, tmp_path) == "x"
    assert found(b"ValueError: " + b"y" * 5000, tmp_path) == "ValueError: " + "y" * 288


def test_log_that_is_a_link_or_cannot_be_read_names_nothing(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    assert last_error(MANIFEST, program(log_file=str(tmp_path / "link")), cannot_start=False) == ""
    assert last_error(MANIFEST, program(log_file=str(tmp_path / "missing")), cannot_start=False) == ""
