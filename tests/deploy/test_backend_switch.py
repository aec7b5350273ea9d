"""A failed backend switch starts the programs that it has stopped again, except those stopped on purpose (R4, R11)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from procman.backends.base import Controller, Progress
from procman.deploy import backend_switch
from procman.deploy.rollout import Reporter, RolloutOptions
from procman.errors import ProcmanError
from procman.install.state.generations import Generation, Installation
from procman.model import Action, Activation
from tests.install import sample

BASE = Path("/host")
PROGRAMS = ("catmaid-celery", "catmaid-crop", "catmaid-beat")


class Stubborn:
    """A process manager that cannot stop one of its programs."""

    def __init__(self, stubborn: str) -> None:
        self.stubborn = stubborn
        self.activated: list[tuple[str, str, bool | None]] = []

    def activate(self, activation: Activation, progress: Progress) -> str:
        self.activated.append((activation.action.value, activation.program.name, activation.desired))
        if activation.program.name == self.stubborn and activation.action is Action.REMOVE:
            raise ProcmanError(f"{self.stubborn} did not stop within 615 s")
        return "done"


def test_stopped_programs_are_started_again_if_one_cannot_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    wish = sample.Wish(dict.fromkeys(PROGRAMS, "first"))
    manifest = sample.manifest(BASE, wish, sample.rendering(BASE, wish))
    installation = replace(
        Installation(None, None, (), (), None, (), (), ()), current=Generation(1, manifest), numbers=(1,)
    )
    manager = Stubborn("catmaid-crop")
    monkeypatch.setattr(backend_switch, "controller_of", lambda _: cast(Controller, manager))
    desired_states = {"catmaid-celery": False, "catmaid-crop": True, "catmaid-beat": True}
    options = RolloutOptions(Reporter(lambda _: None, lambda *_: None, lambda _: None, lambda _: None))
    with pytest.raises(ProcmanError, match="catmaid-crop did not stop"):
        backend_switch.leave(installation, desired_states, options)
    assert manager.activated == [
        ("remove", "catmaid-beat", None),
        ("remove", "catmaid-celery", None),
        ("remove", "catmaid-crop", None),
        ("add", "catmaid-celery", False),
        ("add", "catmaid-beat", True),
    ]
