"""Exit status and stderr of a command that is misused or interrupted, or cannot write its output (U1, U2)."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from procman.cli.main import run

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize(
    "arguments", [["no-such-command"], ["status", "--no-such-option"], ["--config", "a", "--project", "b", "status"]]
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Error:" in shown.err


@pytest.mark.parametrize(
    ("word", "suggestion"),
    [
        ("statsu", " Did you mean 'status'?"),
        ("restrat", " Did you mean 'restart'?"),
        ("up", ""),
        ("\x1b[31m", ""),
    ],
)
def test_misspelt_command_gets_a_suggestion(word: str, suggestion: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([word]) == 2
    assert capsys.readouterr().err.endswith(f"\nError: No such command {word!r}.{suggestion}\n")


@pytest.mark.parametrize(
    ("words", "right"),
    [
        ("check --config a.toml -v", "procman --config a.toml check -v"),
        ("check -v --config=a.toml", "procman --config=a.toml check -v"),
        ("hold one --reason 'a b' --project site", "procman --project site hold one --reason 'a b'"),
        ("status --project", "procman --project NAME status"),
        ("health --config a.toml", "procman --config a.toml health"),
    ],
)
def test_option_of_the_group_after_the_command_is_answered_with_the_right_order(
    words: str, right: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(shlex.split(words)) == (3 if words.startswith("health") else 2)
    shown = capsys.readouterr()
    assert shown.out == ""
    option = "--config" if "--config" in words else "--project"
    assert shown.err.endswith(f"\n  {option} goes before the command: {right}\n")


@pytest.mark.parametrize("words", ["status --no-such-option", "--config a.toml check --config b.toml"])
def test_other_wrong_options_get_no_order(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words.split()) == 2
    assert "goes before" not in capsys.readouterr().err


def test_missing_working_directory_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert run(["status"]) == 1
    assert "cannot use the working directory: No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    ["health --timeout", "check --timeout", "install --wait", "install --lock-wait", "restart --wait"],
)
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e300", "99999999999999999999", "604801", "-1", "soon", ""])
def test_option_in_seconds_refuses_what_no_clock_accepts(
    words: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words.split(), value]) == (3 if words.startswith("health") else 2)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"Invalid value for '{words.split()[1]}'" in shown.err


def test_five_mistakes_are_reported_in_five_lines_with_exit_status_2(tmp_path: Path) -> None:
    file = tmp_path / "procman.toml"
    file.write_text(
        """
[project]
name = "Catmaid"
app = "mysite"
directory = "projects"
virtualenv = "env"
scope = "user"

[worker.celery]
concurency = 1
events = "yes"

[beat]
schedule_file = ""

[environment]
DB_PASSWORD = "correct horse"
"""
    )
    # As root, procman refuses a file in a directory that every user can write to.
    status = subprocess.run(
        [sys.executable, "-c", CHECK, str(file)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert status.returncode == 2
    lines = [line for line in status.stderr.splitlines() if line.startswith("procman: ")]
    assert [re.sub(r"^procman: .*procman.toml:(\d+): ([\w.]+): .*", r"\1 \2", line) for line in lines] == [
        "3 project.name",
        "10 worker.celery.concurency",
        "11 worker.celery.events",
        "14 beat.schedule_file",
        "17 environment.DB_PASSWORD",
    ]
    assert "did you mean concurrency?" in status.stderr
    assert "environment_file" in status.stderr
    assert "correct horse" not in status.stderr + status.stdout


CHECK = """
import sys
from procman.config import trust
trust.require_trust = lambda *_: None
from procman.config import find_file
find_file.require_trust = trust.require_trust
from procman.cli.main import run
sys.exit(run(["--config", sys.argv[1], "render"]))
"""


def test_interrupted_command_exits_with_130() -> None:
    code = (
        "import sys, time\nimport click\nfrom procman.cli import main\nprint('ready', flush=True)\n"
        "main.procman.get_command = lambda ctx, name: click.Command('wait', callback=lambda: time.sleep(60))\n"
        "sys.exit(main.run(['wait']))\n"
    )
    words = [sys.executable, "-c", code]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout
        process.stdout.readline()
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in errors


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", ["--help", "status --help", "--version", "schema"])
def test_full_disk_is_a_failure_without_a_traceback(words: str, unbuffered: str) -> None:
    """Unbuffered, Click's test for a binary stream is the first write that fails, and Click ignores its error."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "procman", *words.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, b"procman: cannot write output: No space left on device\n")


def test_closed_pipe_exits_with_1_and_prints_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "procman", "schema"], stdout=writer, stderr=subprocess.PIPE, cwd=ROOT, check=False
    )
    os.close(writer)
    assert done.stderr == b""
    assert done.returncode == 1
