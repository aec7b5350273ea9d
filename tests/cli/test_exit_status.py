"""Exit status and stderr of a command that is misused, interrupted, or whose output is not read (U1, U2)."""

from __future__ import annotations

import os
import re
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
def test_wrong_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Error:" in shown.err


def test_working_directory_that_was_removed_is_a_message(
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
def test_seconds_are_a_number_that_every_clock_takes(
    words: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words.split(), value]) == (3 if words.startswith("health") else 2)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"Invalid value for '{words.split()[1]}'" in shown.err


def test_a_command_prints_five_mistakes_in_five_lines_and_exits_with_2(tmp_path: Path) -> None:
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
    # Root would not obey a file in a directory that everybody can write to.
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


def test_an_interrupted_command_ends_with_130() -> None:
    code = (
        "import sys, time\nimport click\nfrom procman.cli import main\nprint('ready', flush=True)\n"
        "main.procman.get_command = lambda ctx, name: click.Command('wait', callback=lambda: time.sleep(60))\n"
        "sys.exit(main.run(['wait']))\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as it:
        assert it.stdout
        it.stdout.readline()
        time.sleep(0.2)
        it.send_signal(signal.SIGINT)
        _, said = it.communicate(timeout=30)
    assert it.returncode == 130
    assert b"Traceback" not in said


def test_a_reader_that_has_seen_enough_causes_no_complaint() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "procman", "schema"], stdout=writer, stderr=subprocess.PIPE, cwd=ROOT, check=False
    )
    os.close(writer)
    assert done.stderr == b""
    assert done.returncode == 1
