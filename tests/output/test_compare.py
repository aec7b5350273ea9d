"""The comparison of existing programs with those that replace them, as text and JSON."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from procman.init.comparing.compare import ComparedProject, Known, compare
from procman.init.importing.existing import Existing, Remark, Stop
from procman.model import Kind
from procman.output.compare import as_json, as_text
from tests.init.comparing.test_compare import FILE, KNOWN, OLD, project, tables, with_line

TOML = Path("/etc/mysite/procman.toml")
SECRET = "c2VjcmV0LXg5"
REMARK = Remark(f"{FILE}:3", "stdout_logfile = /var/log/x.log", "the process manager keeps and rotates the log")


def compared(*changed: Existing, known: Known = KNOWN) -> ComparedProject:
    return ComparedProject(TOML, True, tuple(compare(tables(*changed), project(), known)))


def text(*projects: ComparedProject, verbose: bool = False) -> str:
    return "\n".join(as_text(projects, verbose=verbose, stream=io.StringIO()))


def test_text() -> None:
    worker, beat = OLD[Kind.WORKER], OLD[Kind.BEAT]
    shown = text(
        compared(
            replace(with_line(worker, "-Q crop,mail", "--queues=crop"), remarks=(REMARK,)),
            replace(beat, stop=Stop(), remarks=(REMARK,)),
        )
    )
    assert (
        shown
        == f"""\
compared with {TOML}
both programs
  ~ VIRTUAL_ENV: not set -> /srv/env (as the virtualenv's activate script does)
  ~ PYTHONPATH: not set -> /srv/mysite (the project's directory comes first)
  ~ LANG: not set -> C.UTF-8 (procman sets it, so that text is UTF-8)
  ~ PYTHONUNBUFFERED: not set -> 1 (procman sets it, so that the log is complete)
  ~ not imported: stdout_logfile = /var/log/x.log (the process manager keeps and rotates the log)
mysite-crop for [program:crop] of {FILE}
  ! --queues: crop -> crop,mail (no known reason)
  equal: 35 values
mysite-celery-beat for [program:beat] of {FILE}
  ~ restarts: on-failure -> always (it stayed down after an exit with status 0, as at a remote shutdown; procman \
starts it again)
  ~ stop timeout: 10 s -> 900 s (beat ends at once: it has no tasks to wait for)
  equal: 20 values
2 programs compared: 55 values equal, 10 different for a known reason, 1 different without one"""
    )


def test_all_values_are_shown_if_verbose() -> None:
    assert "  = --queues: crop,mail\n" in text(compared(), verbose=True)
    assert "  = --queues: crop,mail\n" not in text(compared())


@pytest.mark.parametrize("verbose", [True, False])
def test_no_secret_is_shown(verbose: bool) -> None:
    other = replace(OLD[Kind.WORKER], environment={"API_TOKEN": "b3RoZXItdmFsdWU5", "PLAIN": "amqp://u:hidden9@h/"})
    private = Known(new_variables={"API_TOKEN": SECRET, "PLAIN": "kept private"}, group="www-data")
    found = compared(other, known=private)
    shown = text(found, verbose=verbose) + as_json([found])
    assert "! API_TOKEN: *** -> *** (no known reason)" in shown
    assert not [secret for secret in (SECRET, "b3RoZXI", "hidden9", "kept private") if secret in shown]


def test_a_program_without_a_counterpart_is_shown() -> None:
    worker = OLD[Kind.WORKER]
    odd = replace(worker, name="odd", label="[program:odd]", source=None)
    found = ComparedProject(
        None, False, tuple(compare({"worker.crop": [worker], "worker.odd": [odd]}, project(), KNOWN))
    )
    shown = text(found)
    assert shown.startswith("compared with procman.toml, as init would write it\n")
    assert f"[program:odd] of {FILE}\n  ! no worker of procman.toml replaces it" in shown
    assert "mysite-celery-beat\n  ! no existing program became it" in shown
    assert shown.endswith("2 programs without a counterpart")
    assert not found.is_explained


def test_json() -> None:
    [found] = json.loads(as_json([compared()]))["projects"]
    assert (found["file"], found["written"]) == (str(TOML), True)
    worker, _ = found["programs"]
    assert {name: worker[name] for name in ("program", "old", "source", "pid", "problem")} == {
        "program": "mysite-crop",
        "old": "[program:crop]",
        "source": f"supervisor:{FILE}:crop",
        "pid": None,
        "problem": "",
    }
    value = {"name": "--queues", "old": "crop,mail", "new": "crop,mail", "equal": True, "reason": "", "in_files": True}
    assert value in worker["values"]


def test_a_line_that_a_person_has_to_read_comes_first() -> None:
    doubt = replace(REMARK, what="a line of the script", doubtful=True)
    old = replace(
        with_line(OLD[Kind.WORKER], "-c 3", "-c 4"), environment={"LONG": "x" * 500, "y" * 500: "1"}, remarks=(doubt,)
    )
    lines = text(compared(replace(old, stop=Stop(seconds=5)))).splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("mysite-crop for"))
    signs = [line.strip()[0] for line in lines[at + 1 :] if line.startswith("  ")]
    assert "".join(dict.fromkeys(signs)) == "!?~e"
    assert f"  ! LONG: {'x' * 200}... -> not set (no known reason)" in lines
    assert f"  ! {'y' * 200}...: 1 -> not set (no known reason)" in lines


def test_no_text_of_a_file_changes_the_terminal() -> None:
    odd = "\x1b[2J\u202e"
    old = replace(OLD[Kind.WORKER], label=odd, environment={"ODD": odd}, remarks=(replace(REMARK, what=odd),))
    shown = text(compared(old), verbose=True)
    assert not [each for each in shown if each != "\n" and not each.isprintable()]
