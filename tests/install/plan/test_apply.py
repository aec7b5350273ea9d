"""R1, R2 and the generations: what an install leaves on disk."""

from __future__ import annotations

import json
import os
import stat
from functools import partial
from pathlib import Path

import pytest

from procman.errors import ProcmanError
from procman.install.plan.apply import apply
from procman.install.plan.describe import rendering_of
from procman.install.safe_fs.file_info import PathError
from procman.install.safe_fs.tree import Tree, temporary_name
from procman.install.state import generations
from procman.install.state.generations import KEPT, current_generation, read_installation
from procman.project import ChangeKind
from tests.install import sample
from tests.install.people import NOBODY, as_nobody, needs_root
from tests.install.sample import DESIRED_STATES, changed
from tests.install.snapshot import contents, identities

ONE = DESIRED_STATES["one"]


def test_files_and_directories_are_as_rendered(host: Path) -> None:
    sample.install(host, ONE)
    rendering = sample.rendering(host, ONE)
    for file in rendering.files:
        assert file.path.read_text() == file.content
        assert stat.S_IMODE(file.path.stat().st_mode) == file.mode
    for directory in rendering.directories:
        assert directory.path.is_dir()
    run = sample.directories(host).run("catmaid-celery").stat()
    assert (stat.S_IMODE(run.st_mode), run.st_uid) == (0o750, NOBODY.pw_uid if sample.ROOT else os.geteuid())


def test_second_install_writes_nothing(host: Path) -> None:
    sample.install(host, ONE)
    before = identities(host)
    assert sample.install(host, ONE).nothing_to_do
    assert identities(host) == before


def test_install_writes_only_changed_files(host: Path) -> None:
    sample.install(host, ONE)
    before = {path: path.stat().st_ino for path in _rendered(host)}
    sample.install(host, changed(ONE, celery="second"))
    touched = [path for path, number in before.items() if path.stat().st_ino != number]
    assert touched == [sample.section_path(host, "catmaid-celery"), sample.unit_path(host, "catmaid-celery")]


def test_comment_in_procman_toml_changes_no_installed_file(host: Path, tree: Tree) -> None:
    sample.install(host, ONE)
    before = {path: path.stat().st_ino for path in _rendered(host)}
    places, rendering = sample.directories(host), sample.rendering(host, ONE)
    desired = sample.manifest(host, ONE, rendering, configuration=b"# said\n" + sample.CONFIGURATION)
    plan = sample.plan_for(host, rendering, desired)
    apply(tree, plan, b"# said\n" + sample.CONFIGURATION)
    assert {path: path.stat().st_ino for path in _rendered(host)} == before
    assert generations.read_pending(tree, places.state) is None
    assert generations.read_configuration(tree, places.state, 2).startswith(b"# said")


def test_current_generation_describes_installed_files(host: Path, tree: Tree) -> None:
    sample.install(host, ONE)
    sample.install(host, DESIRED_STATES["two"])
    state = sample.directories(host).state
    generation = current_generation(tree, state)
    assert generation is not None
    assert generation.number == 2
    assert [program.name for program in generation.manifest.programs] == ["catmaid-celery", "catmaid-crop"]
    assert (state / "current").readlink() == Path("generations/2")
    assert rendering_of(tree, state, generation).files == sample.rendering(host, DESIRED_STATES["two"]).files
    assert generations.read_configuration(tree, state, 1) == sample.CONFIGURATION


def test_earlier_generation_can_be_restored(host: Path, tree: Tree) -> None:
    sample.install(host, ONE)
    sample.install(host, DESIRED_STATES["two"])
    places = sample.directories(host)
    first = generations.read_generation(tree, places.state, 1)
    apply(tree, sample.plan_for(host, rendering_of(tree, places.state, first), first.manifest), sample.CONFIGURATION)
    with Tree() as again:
        sample.activate(again, host, places)
        assert sample.plan(host, ONE).nothing_to_do
        latest = current_generation(again, places.state)
    assert latest is not None
    assert latest.number == 3, "a rollback creates a new generation"
    assert "first" in sample.loaded(host)["catmaid-celery"]


def test_damaged_copy_is_not_restored(host: Path, tree: Tree) -> None:
    sample.install(host, ONE)
    state = sample.directories(host).state
    generation = generations.read_generation(tree, state, 1)
    (state / "generations/1/files" / generation.manifest.files[0].digest).write_text("damaged")
    with pytest.raises(ProcmanError, match="missing or damaged"):
        rendering_of(tree, state, generation)


def test_last_ten_generations_are_kept(host: Path, tree: Tree) -> None:
    for number in range(KEPT + 3):
        sample.install(host, changed(ONE, celery=str(number)))
    state = sample.directories(host).state
    assert generations.generation_numbers(tree, state) == list(range(4, KEPT + 4))


def test_manifest_of_newer_procman_prevents_install(host: Path) -> None:
    sample.install(host, ONE)
    path = sample.directories(host).state / "generations/1/manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    with pytest.raises(ProcmanError, match="newer procman"):
        sample.install(host, ONE)


@pytest.mark.parametrize("content", ["{", None])
def test_install_succeeds_after_moving_state_with_lost_manifest_away(host: Path, content: str | None) -> None:
    sample.install(host, ONE)
    state = sample.directories(host).state
    path = state / "generations/1/manifest.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(ProcmanError, match=r"manifest\.json (cannot be read|does not exist)") as refused:
        sample.install(host, ONE)
    assert f"move {state} away and install again" in refused.value.hint
    state.rename(host / "moved-away")
    kept = [change.kind for change in sample.install(host, ONE).changes]
    assert {*kept} == {ChangeKind.KEEP}


@pytest.mark.parametrize("target", ["generations/7", "elsewhere", "../other/generations/1"])
def test_dangling_current_link_prevents_install(host: Path, target: str) -> None:
    sample.install(host, ONE)
    current = sample.directories(host).state / "current"
    current.unlink()
    current.symlink_to(target)
    with pytest.raises(ProcmanError, match=r"does not exist|points to"):
        sample.install(host, ONE)


def test_edited_file_is_backed_up_with_time_path_owner_and_mode(host: Path) -> None:
    sample.install(host, ONE)
    section = sample.section_path(host, "catmaid-celery")
    section.write_text("edited")
    section.chmod(0o604)
    if sample.ROOT:
        os.chown(section, NOBODY.pw_uid, -1)
    owner = section.stat().st_uid
    sample.install(host, ONE)
    place = sample.directories(host).state / "set-aside"
    (copy,) = [path for path in place.rglob("*") if path.is_file()]
    assert copy.relative_to(place).parts[1:] == section.parts[1:]
    assert (copy.read_text(), stat.S_IMODE(copy.stat().st_mode), copy.stat().st_uid) == ("edited", 0o604, owner)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert "first" in section.read_text()


def test_same_edit_is_backed_up_once_and_another_beside_it(host: Path) -> None:
    sample.install(host, ONE)
    for text in ("edited", "edited", "edited otherwise"):
        sample.section_path(host, "catmaid-celery").write_text(text)
        sample.install(host, ONE)
    place = sample.directories(host).state / "set-aside"
    assert sorted(path.read_text() for path in place.rglob("*.conf")) == ["edited", "edited otherwise"]


def test_unmanaged_file_is_refused_and_nothing_changed(host: Path) -> None:
    sample.section_path(host, "catmaid-celery").write_text("[program:catmaid-celery]\n")
    before = contents(host)
    with pytest.raises(ProcmanError, match="exists, and procman did not install it"):
        sample.install(host, ONE)
    after = contents(host)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {f"var/lib/procman{name}" for name in ("", "/lock", "/directories.json")}


def test_file_edited_between_plan_and_apply_is_not_overwritten(host: Path, tree: Tree) -> None:
    sample.install(host, ONE)
    plan = sample.plan(host, changed(ONE, celery="second"))
    sample.section_path(host, "catmaid-celery").write_text("just now")
    with pytest.raises(PathError, match="has just been changed"):
        apply(tree, plan, sample.CONFIGURATION)
    assert sample.section_path(host, "catmaid-celery").read_text() == "just now"
    sample.install(host, changed(ONE, celery="second"))
    assert "second" in sample.section_path(host, "catmaid-celery").read_text()


def test_changed_mode_is_restored(host: Path) -> None:
    sample.install(host, ONE)
    script = sample.script_path(host, "catmaid-celery")
    script.chmod(0o600)
    sample.install(host, ONE)
    assert stat.S_IMODE(script.stat().st_mode) == 0o755
    assert [path.name for path in (sample.directories(host).state / "generations").iterdir()] == ["1"]


def test_pending_activations_are_recorded_before_the_first_file(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample.install(host, ONE)
    state = sample.directories(host).state
    seen: list[tuple[str, bool]] = []
    really_write = Tree.write

    def write(tree: Tree, path: Path, content: bytes, mode: int, owner: int = -1, group: int = -1) -> None:
        if state not in path.parents:
            seen.append((path.name, (state / "pending.json").exists()))
        really_write(tree, path, content, mode, owner, group)

    monkeypatch.setattr(Tree, "write", write)
    sample.install(host, changed(ONE, celery="second"))
    assert seen == [("catmaid-celery.conf", True), ("catmaid-celery.service", True)]
    assert not (state / "pending.json").exists()


def test_next_install_carries_out_pending_activation(host: Path, tree: Tree) -> None:
    sample.install(host, ONE)
    apply(tree, sample.plan(host, changed(ONE, celery="second")), sample.CONFIGURATION)
    assert "first" in sample.loaded(host)["catmaid-celery"]
    plan = sample.install(host, changed(ONE, celery="second"))
    assert [activation.program.name for activation in plan.activations] == ["catmaid-celery"]
    assert "second" in sample.loaded(host)["catmaid-celery"]
    assert sample.install(host, changed(ONE, celery="second")).nothing_to_do


def test_temporary_files_of_interrupted_run_are_removed_others_left(host: Path) -> None:
    sample.install(host, ONE)
    folder = sample.section_path(host, "x").parent
    ours, foreign = folder / temporary_name("catmaid-celery.conf"), folder / temporary_name("other.conf")
    ours.write_text("half")
    foreign.write_text("of a project of the same procman")
    sample.install(host, ONE)
    assert (ours.exists(), foreign.exists()) == (False, True)


def test_temporary_file_of_healing_is_removed_only_by_uninstall(host: Path) -> None:
    sample.install(host, ONE)
    state = host / "var/lib/procman/catmaid"
    half = state / temporary_name("healing.json")
    half.write_text("half")
    assert sample.install(host, ONE).nothing_to_do
    assert half.exists()
    sample.remove(host)
    assert not half.exists()


@pytest.mark.parametrize("path", ["usr", "usr/local/lib/procman/catmaid", "var/lib/procman/catmaid/run"])
def test_temporary_directory_of_interrupted_run_is_removed(host: Path, path: str) -> None:
    left = (host / path).with_name(temporary_name(Path(path).name))
    left.mkdir(parents=True)
    sample.install(host, ONE)
    assert not left.exists()


@pytest.mark.parametrize("install_between", [True, False])
def test_partly_removed_generation_does_not_matter(
    host: Path, monkeypatch: pytest.MonkeyPatch, install_between: bool
) -> None:
    sample.install(host, ONE)
    really_rmdir = os.rmdir

    def rmdir(name: str, *, dir_fd: int) -> None:
        if name == "1":
            raise KeyboardInterrupt
        really_rmdir(name, dir_fd=dir_fd)

    with monkeypatch.context() as patched:
        patched.setattr(os, "rmdir", rmdir)
        with pytest.raises(KeyboardInterrupt):
            sample.remove(host, purge=True)
    if install_between:
        sample.install(host, ONE)
    sample.remove(host, purge=True)
    assert not (host / "var/lib/procman").exists()


def test_files_are_kept_after_state_is_lost(host: Path, tree: Tree) -> None:
    sample.install(host, ONE)
    tree.remove_tree(sample.directories(host).state)
    before = {path: path.stat().st_ino for path in _rendered(host)}
    sample.install(host, ONE)
    assert {path: path.stat().st_ino for path in _rendered(host)} == before
    assert sample.plan(host, ONE).nothing_to_do


def test_manifest_that_others_can_write_is_refused(host: Path) -> None:
    sample.install(host, ONE)
    (sample.directories(host).state / "generations/1/manifest.json").chmod(0o666)
    with pytest.raises(PathError, match="is not trusted"):
        sample.install(host, ONE)


def test_project_without_programs_can_be_installed(host: Path, tree: Tree) -> None:
    sample.install(host, ONE)
    sample.install(host, DESIRED_STATES["none"])
    assert sample.loaded(host) == {}
    assert not sample.section_path(host, "catmaid-celery").exists()
    assert read_installation(tree, sample.directories(host)).current is not None


@needs_root
@pytest.mark.parametrize("place", ["etc", "etc/procman/catmaid", "usr/local/lib/procman/catmaid", "var/lib/procman"])
def test_nothing_is_written_below_directory_of_service_user(public: Path, place: str) -> None:
    host = sample.make_host(public / "host")
    (host / place).mkdir(parents=True, exist_ok=True)
    os.chown(host / place, NOBODY.pw_uid, -1)
    before = contents(host)
    with pytest.raises(ProcmanError, match=f"{place} belongs to nobody"):
        sample.install(host, ONE)
    after = contents(host)
    assert {name: after[name] for name in before} == before
    assert not [name for name in set(after) - set(before) if not name.startswith("var/lib/procman")]


@needs_root
def test_root_follows_no_link_planted_by_service_user(public: Path) -> None:
    """Each path that procman uses in turn is a link in a directory in which every user can create one."""
    for number, name in enumerate(_paths_used(public / "model")):
        target = public / f"precious{number}"
        target.mkdir()
        (target / "file").write_text("of root")
        before = contents(target)
        planted = sample.make_host(public / f"host{number}") / name
        planted.parent.mkdir(parents=True, exist_ok=True)
        if planted.is_dir():
            planted.rename(planted.with_name("moved"))
        planted.parent.chmod(0o1777)
        end = target / "file" if planted.suffix in (".conf", ".sh", ".py", ".json") else target
        as_nobody(partial(planted.symlink_to, end))
        with pytest.raises(ProcmanError):
            sample.install(public / f"host{number}", ONE)
        assert contents(target) == before, name


def _paths_used(base: Path) -> list[str]:
    before = contents(sample.make_host(base))
    sample.install(base, ONE)
    used = [name for name in contents(base) if not name.startswith("loaded") and "generations/" not in name]
    return [name for name in used if name not in before or "." not in name]


def _rendered(host: Path) -> list[Path]:
    return [file.path for file in sample.rendering(host, ONE).files]
