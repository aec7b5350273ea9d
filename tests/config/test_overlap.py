"""Workers that overlap: their names and node names, and the keys that do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.project import Worker
from tests.config.documents import problems_with, read_rest

CROP = "[worker.crop]\noverlap = true\n"


def test_default_of_all_workers_can_be_overridden(tmp_path: Path) -> None:
    rest = "[defaults.worker]\noverlap = true\noverlap_max = 1\n[worker.crop]\n[worker.mail]\noverlap = false\n"
    project = read_rest(tmp_path, rest)
    found = [each.options for each in project.programs]
    assert [(each.overlap, each.overlap_max) for each in found if isinstance(each, Worker)] == [(True, 1), (False, 1)]


@pytest.mark.parametrize("other", ["[worker.crop-b]", "[command.crop-c]\nargv = ['sleep', '1']"])
def test_program_with_the_name_of_a_slot_is_refused(tmp_path: Path, other: str) -> None:
    [problem] = [each for each in problems_with(tmp_path, CROP + other) if "is taken by" in each]
    assert "the name catmaid-crop-" in problem
    assert "is taken by worker.crop: rename one of them" in problem


def test_name_beyond_the_slots_is_free(tmp_path: Path) -> None:
    assert read_rest(tmp_path, f"{CROP}overlap_max = 1\n[worker.crop-c]\n")
    assert read_rest(tmp_path, "[worker.crop]\n[worker.crop-b]\n")


def test_instances_have_slots_of_their_own(tmp_path: Path) -> None:
    assert read_rest(tmp_path, f"{CROP}instances = 2\n")


def test_node_name_of_a_slot_is_refused_for_another_worker(tmp_path: Path) -> None:
    [problem] = problems_with(tmp_path, f'{CROP}hostname = "x@%h"\n[worker.mail]\nhostname = "x-b@%h"\n')
    assert "worker.crop has the node name x-b@%h too" in problem


def test_worker_without_the_launcher_cannot_overlap(tmp_path: Path) -> None:
    [problem] = problems_with(tmp_path, f"{CROP}launcher = false\n")
    assert "remove launcher = false, or overlap" in problem


def test_beat_has_no_such_key(tmp_path: Path) -> None:
    [problem] = problems_with(tmp_path, "[beat]\noverlap = true\n")
    assert "overlap" in problem
