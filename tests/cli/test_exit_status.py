"""Exit status and stderr of a command that is misused or interrupted, or cannot write its output (U1, U2)."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from procman.cli.main import COMMANDS, OF_NO_PROJECT, SYNONYMS, run

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
        ("help", " Did you mean '--help'?"),
        ("version", " Did you mean '--version'?"),
        ("ps", " Did you mean 'status'?"),
        ("up", " Did you mean 'start'?"),
        ("down", " Did you mean 'stop'?"),
        ("zebra", ""),
        ("\x1b[31m", ""),
    ],
)
def test_misspelt_or_foreign_command_gets_a_suggestion(
    word: str, suggestion: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([word]) == 2
    assert capsys.readouterr().err.endswith(f"\nError: No such command {word!r}.{suggestion}\n")


def test_words_of_other_tools_mean_a_command_or_an_option_of_the_group() -> None:
    assert not set(SYNONYMS) & set(COMMANDS)
    assert set(SYNONYMS.values()) <= {*COMMANDS, "--help", "--version"}


WAYS = (
    "--config missing.toml {}",
    "{} --config missing.toml",
    "{} --config=missing.toml",
    "--config missing.toml {} --config ./missing.toml",
)
"""How the project of a command can be chosen."""


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in OF_NO_PROJECT])
def test_project_is_chosen_before_or_after_the_command(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    name = {"export": ["compose"]}.get(command, ["celery"] if command in ("hold", "logs", "run") else [])
    for words in WAYS:
        assert run([*shlex.split(words.format(command)), *name]) == (3 if command == "health" else 2), words
        shown = capsys.readouterr().err
        assert f"procman: {tmp_path}/missing.toml: no such file (named by --config)\n" in shown, words


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("--project one {} --project two", "--project is given twice: 'one' and 'two'."),
        ("--config a.toml {} --config b.toml", "--config is given twice: 'a.toml' and 'b.toml'."),
        ("--config a.toml {} --project one", "--config and --project cannot be used together."),
        ("{} --config a.toml --project one", "--config and --project cannot be used together."),
        ("--config a.toml --project one {}", "--config and --project cannot be used together."),
    ],
)
@pytest.mark.parametrize("command", ["status", "check"])
def test_project_is_chosen_once(words: str, command: str, problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words.format(command).split()) == 2
    assert capsys.readouterr().err.endswith(f"\nError: {problem}\n")


def test_monitoring_gets_unknown_when_the_project_is_chosen_twice(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--project", "one", "health", "--project", "two"]) == 3
    assert "given twice" in capsys.readouterr().err


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
def test_option_in_seconds_refuses_what_no_clock_accepts(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    for value in ("nan", "inf", "-inf", "1e300", "99999999999999999999", "604801", "-1", "soon", ""):
        assert run([*words.split(), value]) == (3 if words.startswith("health") else 2), value
        shown = capsys.readouterr()
        assert shown.out == ""
        assert f"Invalid value for '{words.split()[1]}'" in shown.err, value


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
        "import sys, time\nimport click\nfrom procman.cli import main\n"
        "def wait(): print('ready', flush=True); time.sleep(200)\n"
        "main.procman.get_command = lambda ctx, name: click.Command('wait', callback=wait)\n"
        "sys.exit(main.run(['wait']))\n"
    )
    words = [sys.executable, "-c", code]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
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
