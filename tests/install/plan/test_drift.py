"""Every difference from the installed generation is reported, without reading unchanged files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from procman.install.plan.drift import differences
from procman.install.safe_fs.tree import Tree
from procman.install.state.generations import current_generation, make_current
from procman.install.state.manifest import Manifest
from procman.project import Rendering
from tests.install import sample
from tests.install.sample import DESIRED_STATES


@pytest.fixture
def manifest(host: Path) -> Manifest:
    """The manifest of an installed project."""
    (host / "procman.toml").write_bytes(sample.CONFIGURATION)
    sample.install(host, DESIRED_STATES["one"])
    with Tree() as tree:
        generation = current_generation(tree, sample.directories(host).state)
    assert generation
    return generation.manifest


def _replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_text("other")
    other.chmod(0o644)
    other.rename(path)


def _edit_and_turn_back_its_time(path: Path) -> None:
    times = path.stat()
    path.write_text("other")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def _link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/null")


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "edited": (lambda path: path.write_text("other"), "was changed by hand"),
    "edited with its time turned back": (_edit_and_turn_back_its_time, "was changed by hand"),
    "replaced": (_replace, "was changed by hand"),
    "replaced by a link": (_link, "was changed by hand"),
    "removed": (lambda path: path.unlink(), "is missing"),
    "other mode": (lambda path: path.chmod(0o600), "has mode 0600, not 0640"),
}


def test_fresh_install_has_no_differences(manifest: Manifest) -> None:
    assert [*differences(manifest)] == []


def test_unchanged_files_are_not_read(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError

    # As on a disk so fast that the whole install takes less than one tick of the clock for file times.
    monkeypatch.setattr("os.fsync", lambda _: None)
    contents = {file: file.path.read_bytes() for file in manifest.files}
    for _ in range(20):
        (manifest.directories.state / "current").unlink()
        with Tree() as tree:
            for file, content in contents.items():
                tree.write(file.path, content, file.mode)
            make_current(tree, manifest.directories.state, 1)
        with monkeypatch.context() as patched:
            patched.setattr(Tree, "look", fail)
            assert [*differences(manifest)] == []


@pytest.mark.parametrize("change", CHANGES)
def test_change_is_reported(host: Path, manifest: Manifest, change: str) -> None:
    path = sample.section_path(host, "catmaid-celery")
    make, expected = CHANGES[change]
    make(path)
    assert [*differences(manifest)] == [f"{path} {expected}"]


@pytest.mark.parametrize("change", CHANGES)
def test_change_is_reported_after_clock_was_set_back(
    host: Path, manifest: Manifest, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sample.section_path(host, "catmaid-celery")
    make, expected = CHANGES[change]
    make(path)
    monkeypatch.setattr("time.time_ns", lambda: 1)
    assert [*differences(manifest)] == [f"{path} {expected}"]


def test_touched_file_does_not_differ(host: Path, manifest: Manifest) -> None:
    os.utime(sample.section_path(host, "catmaid-celery"))
    assert [*differences(manifest)] == []


def test_file_restored_from_backup_does_not_differ(host: Path, manifest: Manifest) -> None:
    path = sample.section_path(host, "catmaid-celery")
    shutil.copy2(path, path.with_name("copy"))
    path.with_name("copy").rename(path)
    assert [*differences(manifest)] == []


def test_edited_or_missing_configuration_is_reported(host: Path, manifest: Manifest) -> None:
    path = host / "procman.toml"
    path.write_text("# other")
    assert [*differences(manifest)] == [
        f"{path} was changed since the install; `procman diff` shows what an install would change"
    ]
    path.unlink()
    assert [*differences(manifest)] == [f"{path} is missing; its content is kept with the generation"]


def test_shared_file_may_be_as_any_project_wrote_it(
    host: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, plain = manifest.directories.shared_configuration / "shared.conf", sample.rendering

    def newer(*arguments: Any) -> Rendering:
        made = plain(*arguments)
        files = (replace(file, content="; Written by procman, newer") if file.shared else file for file in made.files)
        return replace(made, files=tuple(files))

    monkeypatch.setattr(sample, "rendering", newer)
    sample.install(host, DESIRED_STATES["none"], name="other")
    assert path.read_text().endswith("newer")
    assert [*differences(manifest)] == []
    path.write_text("; Written by procman, and edited")
    assert [*differences(manifest)] == [f"{path} was changed by hand"]
