"""Which project a command is about."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from procman.errors import ProcmanError

if TYPE_CHECKING:
    from procman.lookup import Chosen, Installed
    from procman.project import Project


class Selection(NamedTuple):
    """What the caller said: a procman.toml, or the name of an installed project, or nothing."""

    configuration: Path | None
    project: str | None

    def configured(self) -> Project:
        """Return the project that procman.toml describes, complete and checked."""
        from procman.lookup import configured

        return configured(self._chosen())

    def installed(self, *, formerly: bool = False) -> Installed:
        """Return the project as it was installed, whatever procman.toml says by now, or FORMERLY was."""
        from procman.lookup import installed

        return installed(self._chosen(), formerly=formerly)

    @property
    def command_line(self) -> str:
        """The words that call procman for the same project, for a person to paste."""
        if self.configuration:
            return shlex.join(["procman", "--config", str(self.configuration)])
        return shlex.join(["procman", "--project", self.project]) if self.project else "procman"

    def _chosen(self) -> Chosen:
        from procman.lookup import Chosen

        try:
            here = Path.cwd()
        except OSError as error:
            raise ProcmanError(
                f"cannot use the working directory: {error.strerror}", hint="cd to one that exists."
            ) from None
        return Chosen(self.configuration, self.project, dict(os.environ), here)
