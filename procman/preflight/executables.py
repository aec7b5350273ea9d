"""The executables of commands: the first words of `argv` and `reload_command`, and where they are looked up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from procman.project import Command, Launch, Program


@dataclass(frozen=True)
class Executables:
    """The first words of the commands among `programs`."""

    argv: Mapping[str, str]
    """By program name, as the next one."""
    reload_command: Mapping[str, str]

    @classmethod
    def of(cls, programs: Sequence[Program]) -> Executables:
        """Return those of `programs`."""
        commands = {each.name: each.options for each in programs if isinstance(each.options, Command)}
        return cls(
            {name: command.argv[0] for name, command in commands.items()},
            {name: command.reload_command[0] for name, command in commands.items() if command.reload_command},
        )

    def looked_up(self, launches: Mapping[str, Launch], secrets: Mapping[str, str]) -> list[tuple[str, str]]:
        """Return each word and the PATH to look it up in: those of `argv`, then those of `reload_command`."""
        named = (*self.argv.items(), *self.reload_command.items())
        return [_looked_up(launches[name], word, secrets) for name, word in named]

    def found(self, paths: Sequence[str | None]) -> tuple[dict[str, str | None], dict[str, str | None]]:
        """Return the paths that were found for `looked_up`, by program name, for `argv` and for `reload_command`."""
        count = len(self.argv)
        return dict(zip(self.argv, paths[:count], strict=True)), dict(
            zip(self.reload_command, paths[count:], strict=True)
        )


def _looked_up(launch: Launch, word: str, secrets: Mapping[str, str]) -> tuple[str, str]:
    # A relative path starts at the working directory; a bare name is looked up in PATH.
    word = str(launch.directory / word) if "/" in word else word
    return word, {**launch.environment, **secrets}.get("PATH", "")
