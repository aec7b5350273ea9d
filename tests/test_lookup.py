"""Which orders an installed project takes after a command that was interrupted."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.errors import ProcmanError
from procman.install.state.generations import Generation
from procman.install.state.manifest import Pending
from procman.lookup import Installed
from procman.model import Adopted, Adoption
from tests.install import sample


def test_no_program_is_started_beside_one_that_has_yet_to_be_stopped(tmp_path: Path) -> None:
    """R12."""
    wish = sample.DESIRED_STATES["one"]
    manifest = sample.manifest(tmp_path, wish, sample.rendering(tmp_path, wish))
    adopted = Adopted("systemd:celery.service", "catmaid-celery", was_running=True, was_enabled=True)
    pending = Pending(1, (), (), adoptions=(Adoption("celery.service", (adopted,)),))
    Installed(Generation(1, manifest), Pending(1, (1,), ())).require_whole()
    with pytest.raises(ProcmanError, match=r"interrupted before it had stopped celery\.service") as error:
        Installed(Generation(1, manifest), pending).require_whole()
    assert error.value.hint.startswith("procman install completes it")
