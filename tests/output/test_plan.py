"""The text of a plan: what the diff shows of files that procman did not write."""

from __future__ import annotations

import pytest

from procman.output.plan import _ANY_ENVIRONMENT, _lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('environment=A="x",\n  B="y"\nuser=root\n', ["environment=***", "  ***", "user=root"]),
        ('environment =\n\tA="x"\n\n\tB\n', ["environment =***", "\t***", "", "\tB"]),
        ('Environment="A=x" \\\n"B=y"\nUser=root\n', ["Environment=***", "***", "User=root"]),
        ("command=a\n  --b\n", ["command=a", "  --b"]),
    ],
    ids=["supervisord", "indented", "systemd", "another option"],
)
def test_every_line_of_an_environment_is_hidden(text: str, shown: list[str]) -> None:
    """S2."""
    assert _lines(text.encode(), _ANY_ENVIRONMENT) == shown
