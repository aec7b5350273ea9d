"""`install --replace`: programs of ours that stand in somebody else's file become procman's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from procman.backends.base import Controller, Progress
from procman.model import InstalledProgram, Project


@dataclass(frozen=True)
class Takeover:
    """What is taken from whom."""

    remaining: Mapping[Path, str | None] = field(default_factory=dict)

    def drain(self, controller: Controller, programs: Sequence[InstalledProgram], progress: Progress, told: Callable[[InstalledProgram, str], None]) -> None:
        pass


def find_takeover(project: Project, replaced: Sequence[Path]) -> Takeover:
    return Takeover()
