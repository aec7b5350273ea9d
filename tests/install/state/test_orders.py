"""procman records when it last ordered something about a program."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from procman.install.state.manifest import Manifest
from procman.install.state.orders import DIRECTORY, Orders, note_order, note_retry, orders_of
from tests.monitoring.checks.records import MANIFEST, NAME, program


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return replace(MANIFEST, directories=replace(MANIFEST.directories, state=tmp_path))


def test_order_and_retry_of_the_watcher_are_remembered_side_by_side(manifest: Manifest) -> None:
    state, before = manifest.directories.state, time.time()
    assert orders_of(state, [NAME]) == {NAME: Orders()}
    note_order(manifest, [program()])
    note_retry(manifest, program())
    found = orders_of(state, [NAME])[NAME]
    assert before <= found.ordered <= found.retried <= time.time()
    assert (state / DIRECTORY / f"{NAME}.json").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("content", ["", "{", '{"format": 1, "ordered": "x"}', '{"format": 99, "ordered": 1.0}'])
def test_record_that_cannot_be_read_counts_as_none(manifest: Manifest, content: str) -> None:
    note_order(manifest, [program()])
    (manifest.directories.state / DIRECTORY / f"{NAME}.json").write_text(content)
    assert orders_of(manifest.directories.state, [NAME]) == {NAME: Orders()}
    note_order(manifest, [program()])
    assert orders_of(manifest.directories.state, [NAME])[NAME].ordered


def test_order_is_given_even_if_it_cannot_be_recorded(manifest: Manifest) -> None:
    (manifest.directories.state / DIRECTORY).write_text("in the way")
    note_order(manifest, [program()])
    assert (manifest.directories.state / DIRECTORY).is_file()
