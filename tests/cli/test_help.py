"""Every command is in the list of commands and in the README, and its help has examples that work."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

import click
import pytest

from procman.cli.main import COMMANDS, procman, run
from procman.version import VERSION
from tests.tables import for_each

ROOT = Path(__file__).parent.parent.parent

VERBS = {
    "Check",
    "Explain",
    "Hold",
    "Inspect",
    "Install",
    "Keep",
    "List",
    "Print",
    "Release",
    "Reload",
    "Restart",
    "Roll",
    "Run",
    "Show",
    "Start",
    "Stop",
}
EXAMPLES = "Examples:\n"


def command_of(name: str) -> click.Command:
    command = procman.get_command(click.Context(procman), name)
    assert command
    return command


def examples_of(help_text: str) -> Iterator[list[str]]:
    """Yield the words of each command line below `Examples:`, without a redirection."""
    help_text = cleandoc(help_text)
    assert help_text.count(EXAMPLES) == 1
    before, _, block = help_text.partition(EXAMPLES)
    # Click does not wrap a paragraph that begins with \b.
    assert before.endswith("\n\n\b\n")
    for line in block.splitlines():
        assert line.startswith(("  # ", "  procman "))
        assert len(line) <= 60
        words = shlex.split(line, comments=True)
        if words:
            yield words[: words.index(">")] if ">" in words else words


def test_every_command_is_in_the_list_in_the_readme_and_in_the_directory_of_commands() -> None:
    readme = (ROOT / "README.md").read_text()
    [table] = re.findall(r"## Commands\n(.*?)\n## ", readme, re.DOTALL)
    named = set(re.findall(r"`(?:procman )?([a-z]+)`", table))
    assert set(COMMANDS) <= named
    others = {
        "__init__",
        "complete",
        "every_project",
        "heal_listener",
        "main",
        "options",
        "rollout_reporter",
        "safe_streams",
        "selection",
        "times",
        "watch",
    }
    assert set(COMMANDS) == {path.stem for path in (ROOT / "procman/cli").glob("*.py")} - others


@pytest.mark.parametrize("name", COMMANDS)
def test_list_has_the_first_sentence_of_each_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = command_of(name)
    assert command.help
    first_sentence = " ".join(command.help.split("\n\n")[0].split())
    assert first_sentence.rstrip(".").startswith(COMMANDS[name].rstrip("."))
    assert run([name, "--help"]) == 0
    assert "Usage: procman" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["procman", *COMMANDS])
def test_help_starts_with_a_verb_and_ends_with_examples_that_parse(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The files of an example do not exist here.
    monkeypatch.setattr(click.Path, "convert", lambda self, value, param, ctx: Path(value))
    monkeypatch.setattr(click.Command, "invoke", lambda self, ctx: None)
    command = procman if name == "procman" else command_of(name)
    assert command.help
    assert command.help.split()[0] in VERBS
    examples = list(examples_of(command.help))
    assert any(name in words for words in examples)
    for words in examples:
        assert run(words[1:]) == 0


@for_each("name", ["procman", *COMMANDS])
def test_every_option_has_a_help_of_its_own_that_ends_as_a_sentence(name: str) -> None:
    command = procman if name == "procman" else command_of(name)
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help
            assert parameter.help[0].isupper()
            assert re.search(r"\.(  \[default: [^\]]+\])?$", parameter.help), parameter.help


def test_help_names_no_file_of_the_repository(capsys: pytest.CaptureFixture[str]) -> None:
    for name in COMMANDS:
        run([name, "--help"])
    assert "docs/" not in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"procman {VERSION}\n"
