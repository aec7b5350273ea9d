"""Find the earlier processes of overlapping workers that an order stops, and that their stop timeout may cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from procman.backends import controller_of
from procman.backends.base import Controller
from procman.errors import ProcmanError
from procman.install.plan.plan import Plan
from procman.install.state.manifest import Manifest
from procman.model import Action, InstalledProgram
from procman.monitoring.draining import Draining, described, draining_by_program


class Cut(NamedTuple):
    """An earlier process that is stopped together with its program."""

    program: InstalledProgram
    draining: Draining

    @property
    def text(self) -> str:
        """Return what it is doing, and how long it may continue."""
        limit = self.program.stop_timeout_seconds
        return f"{self.program.name}: {described(self.draining)}; cut after {limit} s"


def cut_by_stop(manifest: Manifest, controller: Controller, programs: Sequence[InstalledProgram]) -> list[Cut]:
    """Return what drains beside the workers among `programs`, all of which are about to stop or restart."""
    return [Cut(*found) for found in draining_by_program(manifest, controller, programs)]


def cut_by_plan(plan: Plan, current: Manifest | None, *, stops_all: bool) -> list[Cut]:
    """Return what drains beside the workers that `plan` restarts or removes; `stops_all`: it moves all of them.

    `current`: what is installed now, where a worker may overlap that does not according to the plan. Empty if the
    process manager does not answer.
    """
    if current is None:
        return []
    gentle = (Action.ADD, Action.OVERLAP)
    stopped = {each.program.name for each in plan.activations if each.action not in gentle}
    programs = [each for each in current.programs if each.overlap_max and (stops_all or each.name in stopped)]
    try:
        return cut_by_stop(current, controller_of(current), programs) if programs else []
    except ProcmanError:
        return []
