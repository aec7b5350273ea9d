"""Find the project of a command."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from procman.errors import ConfigurationError, ProcmanError
from procman.output.terminal import printable

if TYPE_CHECKING:
    from procman.backends.base import ExportTarget
    from procman.lookup import Chosen, Installed
    from procman.project import Project


STANDARD_INPUT = Path("-")
"""The value of `--config` for standard input; a file of this name is `./-`."""


class Selection(NamedTuple):
    """The options that choose a project: a procman.toml, the name of an installed project, or neither."""

    configuration: Path | None = None
    project: str | None = None

    @classmethod
    def of_group(cls, parameters: Mapping[str, Any]) -> Selection:
        """Return the selection by the options before the command."""
        return cls(parameters.get("configuration"), parameters.get("project"))

    def configured(self, *, standard_input: bool = False, target: ExportTarget | None = None) -> Project:
        """Return the project that procman.toml describes, with its defaults, validated.

        With `standard_input`, `--config -` reads it from there; a command that writes would record a path. `target` is
        what it is rendered for, by default its backend.
        """
        from procman.lookup import configured

        if standard_input and self.configuration == STANDARD_INPUT:
            from procman.config.read_file import read_standard_input

            named = self._replace(configuration=None)
            return configured(named._chosen(), read_standard_input(sys.stdin.buffer), target)
        return configured(self._chosen(), target=target)

    def installed(self, *, formerly: bool = False, acts: bool = False, partly: bool = False) -> Installed:
        """Return the project as it was installed, even if procman.toml has changed; report a file that is unusable.

        With `formerly`, a project that was uninstalled counts, too, if it left something behind; with `partly`, one
        whose first install was interrupted. A command that `acts` on the programs takes no project that the file does
        not name for certain.
        """
        found = self.look_up(formerly=formerly, acts=acts, partly=partly)
        if found.file_problem:
            number, project = found.generation.number, found.manifest.project
            text = f"procman: {found.file_problem}; using the installed generation {number} of {project}"
            click.echo(printable(text), err=True)
        return found

    def look_up(self, *, formerly: bool = False, acts: bool = False, partly: bool = False) -> Installed:
        """Return the same without printing anything."""
        from procman.lookup import installed

        return installed(self._chosen(), formerly=formerly, acts=acts, partly=partly)

    @property
    def command_line(self) -> str:
        """The words that call procman for the same project, for a person to paste."""
        if self.configuration:
            return shlex.join(["procman", "--config", str(self.configuration)])
        return shlex.join(["procman", "--project", self.project]) if self.project else "procman"

    def _chosen(self) -> Chosen:
        from procman.config.find_file import working_directory
        from procman.lookup import Chosen

        if self.configuration == STANDARD_INPUT:
            raise ConfigurationError(
                ["--config -: only render, export, check and diff can read procman.toml from standard input"],
                hint="Write it to a file, and name that: --config PATH",
            )
        try:
            here = working_directory(os.environ)
        except OSError as error:
            raise ProcmanError(
                f"cannot use the working directory: {error.strerror}", hint="Change to a directory that exists."
            ) from None
        return Chosen(self.configuration, self.project, dict(os.environ), here)
