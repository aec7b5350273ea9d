"""The errors that a user can fix, printed in one place (`procman.cli`)."""

from __future__ import annotations

from collections.abc import Sequence


class ProcmanError(Exception):
    """An error that the user can fix, as `hint` describes. Exit status 1 (U2)."""

    exit_status = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def in_one_line(self) -> str:
        """Return the message and its hint on one line, for a list of problems."""
        return f"{self.message}: {self.hint}" if self.hint else self.message


class ConfigurationError(ProcmanError):
    """All problems in procman.toml or on the command line, in one report (U1). Exit status 2."""

    exit_status = 2

    def __init__(self, problems: Sequence[str], *, hint: str = "", keys: Sequence[tuple[str, str]] = ()) -> None:
        self.problems = tuple(problems)
        self.keys = tuple(keys)
        """The key and the message of each problem, without its place, if they are about keys of procman.toml."""
        super().__init__("\n".join(self.problems), hint=hint)
