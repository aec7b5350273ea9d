"""Which project a command is about."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from procman.model import Project


@dataclass(frozen=True)
class Selection:
    """What the caller said: a procman.toml, or the name of an installed project, or nothing."""

    configuration: Path | None
    project: str | None

    def configured(self) -> Project:
        """Return the project that procman.toml describes, complete and checked."""
        from procman.commands.select import configured

        return configured(self.configuration, self.project, dict(os.environ), Path.cwd())
