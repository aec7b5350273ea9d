"""Every command is in the list of commands and in the README, and has its own help."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from procman.cli.main import COMMANDS, procman, run
from procman.version import VERSION

ROOT = Path(__file__).parent.parent.parent


def test_every_command_is_in_the_list_in_the_readme_and_in_the_directory_of_commands() -> None:
    readme = (ROOT / "README.md").read_text()
    [table] = re.findall(r"## Commands\n(.*?)\n## ", readme, re.DOTALL)
    named = set(re.findall(r"`(?:procman )?([a-z]+)`", table))
    assert set(COMMANDS) <= named
    others = {"__init__", "heal_listener", "main", "options", "rollout_reporter", "safe_streams", "selection"}
    assert set(COMMANDS) == {path.stem for path in (ROOT / "procman/cli").glob("*.py")} - others


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_of_a_command_what_its_help_says(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = procman.get_command(click.Context(procman), name)
    assert command
    assert command.help
    first_sentence = " ".join(command.help.split("\n\n")[0].split())
    assert first_sentence.rstrip(".").startswith(COMMANDS[name].rstrip("."))
    assert run([name, "--help"]) == 0
    assert "Usage: procman" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"procman {VERSION}\n"
