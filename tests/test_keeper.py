"""The files of a worker that overlaps, read back by the keeper and by systemd."""

from __future__ import annotations

import json
import stat
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from procman.agent.keeper_launch import read_launch
from procman.backends import backend_named
from procman.config.load import load
from procman.install.plan.activations import changed_actions, merged_actions
from procman.install.plan.changes import Change
from procman.install.safe_fs.file_info import Found
from procman.install.state.manifest import digest
from procman.model import Action, BackendName
from procman.project import ChangeKind, Project, RenderedFile
from tests.backends.systemd.projects import directives_of
from tests.config.documents import HOME, PROJECT, USER_SCOPE
from tests.read_by_systemd import read_units

CROP = "[worker.crop]\noverlap = true\nqueues = ['crop']\n"
UNIT = "catmaid-crop.service"


def project_of(tmp_path: Path, backend: str, rest: str = CROP, *, head: str = PROJECT, more: str = "") -> Project:
    file = tmp_path / "procman.toml"
    file.write_text(f'{head}backend = "{backend}"\n{more}\n{rest}')
    return load(file, HOME)


def files_of(project: Project) -> dict[str, RenderedFile]:
    return {file.path.name: file for file in backend_named(project.backend).render(project).files}


@pytest.mark.parametrize("backend", [each.value for each in BackendName])
def test_launch_file_is_read_as_it_was_written(tmp_path: Path, backend: str) -> None:
    project = project_of(tmp_path, backend, CROP + 'hostname = "x@%h"\nextra_arguments = ["--foo=%h"]\n')
    file = files_of(project)["catmaid-crop.json"]
    (tmp_path / "launch.json").write_text(file.content)
    launch = read_launch(str(tmp_path / "launch.json"))
    assert list(launch.node_names.items()) == [("a", "x@%h"), ("b", "x-b@%h"), ("c", "x-c@%h")]
    words = launch.words("b")
    assert words[:2] == ["/opt/env/bin/python", str(project.directories.library / "launcher.py")]
    assert words[words.index("-n") + 1] == "x-b@%h"
    assert words[-1] == "--foo=%h"
    assert launch.environment["PROCMAN_PROGRAM"] == "catmaid-crop"
    assert (launch.overlap_max, launch.stop_timeout_seconds) == (2, 600)
    assert (file.mode, file.owner, file.overlaps) == (0o644, "root", True)


@pytest.mark.parametrize("backend", [each.value for each in BackendName])
def test_each_slot_has_a_run_directory_of_the_user(tmp_path: Path, backend: str) -> None:
    project = project_of(tmp_path, backend)
    found = backend_named(project.backend).render(project).directories
    own = {each.path.name: each.owner for each in found if each.path.parent.name == "run"}
    assert own == dict.fromkeys(("catmaid-crop", "catmaid-crop-b", "catmaid-crop-c"), "www-data")


@pytest.mark.parametrize("backend", [each.value for each in BackendName])
def test_variables_and_queues_change_only_the_launch_file(tmp_path: Path, backend: str) -> None:
    before = files_of(project_of(tmp_path, backend))
    changed = CROP.replace("'crop'", "'other'") + "[worker.crop.environment]\nCODE = 'new'\n"
    after = files_of(project_of(tmp_path, backend, changed))
    assert [name for name in after if before[name] != after[name]] == ["catmaid-crop.json"]


def test_unit_starts_the_keeper_and_copies_the_environment_file_as_root(tmp_path: Path) -> None:
    project = project_of(tmp_path, "systemd", CROP + "memory_max_mib = 100\n", more='environment_file = "/etc/secret"')
    text = files_of(project)[UNIT].content
    unit = directives_of(text)
    copy = "+/usr/bin/install -o www-data -m 0400 /etc/secret /run/catmaid-crop.environment"
    assert unit["ExecStartPre"] == [copy]
    assert unit["ExecReload"][0] == copy
    assert unit["ExecReload"][1].endswith("/keeper_request.py")
    assert unit["ExecStopPost"] == ["-+/bin/rm -f /run/catmaid-crop.environment"]
    assert "LoadCredential" not in unit
    assert "EnvironmentFile" not in unit
    assert unit["MemoryMax"] == ["300M"]
    assert unit["NotifyAccess"] == ["main"]
    [read] = read_units({UNIT: text}).values()
    scripts = [line for line in read["Command Line"] if " -I -S -B " in line]
    assert len(scripts) == 2
    assert len(read["Command Line"]) == 5
    launch = json.loads(files_of(project)["catmaid-crop.json"].content)
    assert launch["environment"]["PROCMAN_ENVIRONMENT_COPY"] == "/run/catmaid-crop.environment"


def test_unit_of_a_user_reads_the_environment_file_itself(tmp_path: Path) -> None:
    project = project_of(tmp_path, "systemd", head=USER_SCOPE, more='environment_file = "/home/anna/secret"')
    files = files_of(project)
    assert "ExecStartPre" not in directives_of(files[UNIT].content)
    launch = json.loads(files["catmaid-crop.json"].content)
    assert launch["environment"]["PROCMAN_ENVIRONMENT_FILE"] == "/home/anna/secret"
    assert "PROCMAN_ENVIRONMENT_COPY" not in launch["environment"]


def test_program_without_overlap_has_no_launch_file(tmp_path: Path) -> None:
    for backend in BackendName:
        project = project_of(tmp_path, backend.value, "[worker.crop]\n")
        rendering = backend_named(project.backend).render(project)
        assert not [file for file in rendering.files if file.path.suffix == ".json"]
        assert not [each for each in rendering.directories if each.path.name == "launch"]


@pytest.mark.parametrize(
    ("overlaps", "section", "action"),
    [((True,), False, Action.OVERLAP), ((True, False), False, Action.RESTART), ((True, False), True, Action.REPLACE)],
)
def test_changed_launch_file_alone_overlaps(overlaps: tuple[bool, ...], section: bool, action: Action) -> None:
    changes = [_change(number, each, section=section and not each) for number, each in enumerate(overlaps)]
    manifest = _manifest(changes)
    assert changed_actions(changes, manifest, ["crop"]) == {"crop": action}


@pytest.mark.parametrize(
    ("pending", "changed", "merged"),
    [
        (Action.OVERLAP, None, Action.OVERLAP),
        (Action.OVERLAP, Action.OVERLAP, Action.OVERLAP),
        (Action.OVERLAP, Action.RESTART, Action.RESTART),
        (Action.REPLACE, Action.OVERLAP, Action.REPLACE),
        (Action.ADD, Action.OVERLAP, Action.REPLACE),
        (Action.REMOVE, Action.OVERLAP, Action.REPLACE),
    ],
)
def test_overlap_is_merged_with_a_pending_action(pending: Action, changed: Action | None, merged: Action) -> None:
    assert merged_actions({"crop": pending}, {"crop": changed} if changed else {}, ["crop"]) == {"crop": merged}


def _change(number: int, overlaps: bool, *, section: bool) -> Change:
    new = RenderedFile(Path(f"/f{number}"), "new", 0o644, None, None, ("crop",), section=section, overlaps=overlaps)
    return Change(ChangeKind.UPDATE, new.path, Found(b"old", stat.S_IFREG, 0o644, 0, 0), new)


def _manifest(changes: Sequence[Change]) -> Any:
    """Return the parts that matter of the manifest before `changes`."""
    old = digest(b"old")
    files = [SimpleNamespace(path=each.path, digest=old, programs=("crop",), restarts=True) for each in changes]
    return SimpleNamespace(files=files, programs=[SimpleNamespace(name="crop")])
