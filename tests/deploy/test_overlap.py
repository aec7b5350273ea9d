"""Which programs an overlap restart may name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from procman.deploy.overlap import require_overlap
from procman.deploy.start_stop import end_of_drain
from procman.errors import ProcmanError
from procman.install.state.manifest import Manifest
from tests.monitoring.checks.records import MANIFEST, program

CROP, MAIL = program(name="demo-crop", key="worker.crop", overlap_max=2), program(name="demo-mail", key="worker.mail")


def manifest(*programs: object) -> Manifest:
    return replace(MANIFEST, project="demo", programs=programs)  # type: ignore[arg-type]


@pytest.mark.parametrize("names", [(), ("crop",), ("demo-crop",)])
def test_without_names_one_program_that_can_overlap_is_enough(names: Sequence[str]) -> None:
    require_overlap(manifest(CROP, MAIL), names)


@pytest.mark.parametrize("names", [("mail",), ("crop", "mail")])
def test_program_without_overlap_is_refused_by_name(names: Sequence[str]) -> None:
    with pytest.raises(ProcmanError, match="demo-mail cannot overlap"):
        require_overlap(manifest(CROP, MAIL), names)


def test_project_without_overlap_is_refused() -> None:
    with pytest.raises(ProcmanError, match="no program overlaps") as error:
        require_overlap(manifest(MAIL), ())
    assert "overlap = true" in error.value.hint


@pytest.mark.parametrize("names", [("mail",), ("crop", "mail")])
def test_end_of_drain_of_a_program_without_overlap_is_refused(names: Sequence[str]) -> None:
    installed: Any = SimpleNamespace(manifest=manifest(CROP, MAIL))
    with pytest.raises(ProcmanError, match="demo-mail does not overlap, so nothing drains"):
        end_of_drain(installed, names, lambda _: None)
