"""The reason for an install, as it is recorded: one printable line without passwords."""

from __future__ import annotations

import pytest

from procman.cli.main import run
from procman.cli.options import Message


@pytest.mark.parametrize(
    ("given", "recorded"),
    [
        ("3f2a9c1 Crop images\n\nThey were too large.\n", "3f2a9c1 Crop images They were too large."),
        ("use amqp://shop:hunter22@broker", "use amqp://shop:***@broker"),
        ("", ""),
    ],
)
def test_message_becomes_one_line_without_passwords(given: str, recorded: str) -> None:
    assert Message().convert(given, None, None) == recorded


@pytest.mark.parametrize("command", ["install", "rollback"])
@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("\x1b[31m", "it contains a control character."),
        ("x" * 501, "it has 501 characters: shorten it to at most 500."),
    ],
    ids=["control", "long"],
)
def test_other_messages_are_wrong_usage(
    command: str, given: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command, "--message", given]) == 2
    assert problem in capsys.readouterr().err
