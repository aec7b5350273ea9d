"""Records that the first release wrote can be read, and are written again as the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.install.safe_fs.tree import Tree
from procman.install.state import event_log, json_records
from procman.install.state.generations import current_generation, read_pending
from procman.install.state.holds import read_holds
from procman.install.state.manifest import Manifest, Pending, digest
from procman.model import Action, BackendName, Kind, Scope
from tests.first_release import AGENTS, RENAMED, STATES, member

PROJECTS = sorted(STATES)


def _state(project: str) -> str:
    return f"disk{STATES[project]}"


@pytest.fixture(params=PROJECTS)
def project(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def state(project: str, tmp_path: Path) -> Path:
    """The state directory of a project as the first release left it, without the copies of its files."""
    state = tmp_path / project
    names = ["generations/1/manifest.json", "generations/1/procman.toml", "events.jsonl"]
    for name in (*names, f"holds/{project}-celery-beat.json"):
        path = state / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(member(f"{_state(project)}/{name}"))
    (state / "current").symlink_to("generations/1")
    return state


def test_manifest_is_read_and_written_as_it_was(project: str, state: Path) -> None:
    generation = current_generation(Tree(), state)
    assert generation is not None
    content = member(f"{_state(project)}/generations/1/manifest.json")
    # A watcher of the first release that is still running reads what an install writes from now on.
    assert json_records.to_bytes(generation.manifest) == content
    manifest = generation.manifest
    on_systemd = project == "old-systemd"
    assert (manifest.project, manifest.scope, manifest.backend) == (
        (project, Scope.SYSTEM, BackendName.SYSTEMD) if on_systemd else (project, Scope.USER, BackendName.SUPERVISOR)
    )
    assert {program.name: program.kind for program in manifest.programs} == {
        f"{project}-celery": Kind.WORKER,
        f"{project}-celery-beat": Kind.BEAT,
        f"{project}-health": Kind.HEALTH,
    }


def test_old_manifest_has_agent_files_by_their_old_names(project: str, state: Path) -> None:
    generation = current_generation(Tree(), state)
    assert generation is not None
    files = {file.path: file for file in generation.manifest.files}
    for name in RENAMED:
        path = Path(AGENTS[project], name)
        assert files[path].digest == digest(member(f"disk{path}"))
        assert not files[path].restarts


def test_holds_and_events_are_read(project: str, state: Path) -> None:
    [(held, hold)] = read_holds(Tree(), state, 0.0).items()
    assert (held, hold.reason) == (f"{project}-celery-beat", "ordered under the first release")
    assert [(event.program, event.what) for event in event_log.own_events(Tree(), state)] == [(held, "held")]


def test_interrupted_install_is_read(project: str, state: Path) -> None:
    content = member(f"interrupted/{project}/pending.json")
    (state / "pending.json").write_bytes(content)
    pending = read_pending(Tree(), state)
    assert isinstance(pending, Pending)
    assert json_records.to_bytes(pending) == content
    assert pending.unfinished == (2,)
    [activation] = pending.activations
    assert activation.program.name == f"{project}-celery"
    assert activation.action is (Action.REPLACE if project == "old-systemd" else Action.RESTART)
    manifest = json_records.from_bytes(Manifest, member(f"interrupted/{project}/manifest.json"), state)
    assert activation.program in manifest.programs
