"""A program's record of its own restarts is untrusted: what cannot be read is reported and ends nothing (S3)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from procman.install.state.manifest import Manifest
from procman.model import Level
from procman.monitoring.healed_inside import healed_inside
from procman.monitoring.program_view import now
from tests.attacks.test_healing import HEALED
from tests.monitoring.checks.records import program

PROGRAM = program(name="catmaid-celery")


def file_of(manifest: Manifest) -> Path:
    return manifest.directories.run("catmaid-celery") / "healed.json"


def record(at: str) -> str:
    return f'{{"format": 1, "restarts": [{{"boot_id": {json.dumps(now().boot)}, "at": {at}}}]}}'


def test_restarts_of_this_boot_are_returned(manifest: Manifest) -> None:
    assert healed_inside(manifest, PROGRAM, now()) == ((), ())
    file_of(manifest).write_text(record("17.5"))
    assert healed_inside(manifest, PROGRAM, now()) == ((17.5,), ())
    assert healed_inside(manifest, PROGRAM, now()._replace(boot="another")) == ((), ())


REFUSED = {
    **{name: record(at) for name, at in HEALED.items() if name != "-1"},
    "a list": "[]",
    "a text for the restarts": '{"restarts": "ab"}',
    "a restart that is a number": '{"restarts": [1]}',
    "truth value": record("true"),
    "deep": "[" * 60_000,
    "a key twice": '{"restarts": [], "restarts": []}',
    "not text": "\udcff",
    "too long": record("1") + " " * 70_000,
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=list(REFUSED))
def test_unreadable_record_is_reported_for_its_program(manifest: Manifest, text: str) -> None:
    file_of(manifest).write_bytes(text.encode("utf-8", "surrogateescape"))
    times, [result] = healed_inside(manifest, PROGRAM, now())
    assert times == ()
    assert (result.code, result.program, result.level) == ("PM205", "catmaid-celery", Level.WARNING)
    assert "healed.json, its record of its own restarts, is ignored" in result.detail
    assert result.hint == f"rm {file_of(manifest)}"


def test_record_of_another_kind_is_reported(manifest: Manifest) -> None:
    os.mkfifo(file_of(manifest))
    assert healed_inside(manifest, PROGRAM, now())[1][0].level is Level.WARNING
