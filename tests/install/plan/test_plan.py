"""Plans for a disk in memory: each kind of change, each refusal, and the activations."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from procman.install.plan.describe import content_of, installed_file
from procman.install.plan.plan import Plan, make_plan, make_removal
from procman.install.safe_fs.file_info import Found, PathError
from procman.install.state.generations import Generation, Installation
from procman.install.state.manifest import Manifest, Pending
from procman.model import Action, Activation, RenderedDirectory, Scope
from procman.project import ChangeKind, RenderedFile, Rendering
from tests.install import sample

BASE = Path("/host")
ONE = sample.DESIRED_STATES["one"]
CELERY = sample.section_path(BASE, "catmaid-celery")
UNIT = sample.unit_path(BASE, "catmaid-celery")
SCRIPT = sample.script_path(BASE, "catmaid-celery")
LAUNCHER = sample.directories(BASE).library / "launcher.py"
SHARED = BASE / "etc/procman/shared.conf"
EMPTY = Installation(None, None, (), (), None, (), (), ())


@dataclass
class MemoryDisk:
    """A disk with the files it is given and all directories, all owned by root."""

    files: dict[Path, Found] = field(default_factory=dict)
    no_directories: frozenset[Path] = frozenset()
    forbidden: Mapping[Path, str] = field(default_factory=dict)
    leftovers: tuple[Path, ...] = ()
    shared: frozenset[Path] = frozenset()
    """The directories that other users can write to."""

    def look(self, path: Path) -> Found | None:
        if path in self.forbidden:
            raise PathError(self.forbidden[path], hint="chown it")
        return self.files.get(path)

    def has_directory(self, path: Path) -> bool:
        return path not in self.no_directories and path not in self.files

    def check_private(self, path: Path) -> None:
        if path in self.shared:
            raise PathError(f"{path} is writable by users other than root", hint=f"chmod go-w {path}")

    def names(self, path: Path) -> list[str]:
        return [each.name for each in (*self.files, *self.leftovers) if each.parent == path]


def _disk_with(rendering: Rendering) -> MemoryDisk:
    return MemoryDisk({file.path: _found(content_of(file), file.mode) for file in rendering.files})


def _found(content: bytes | None, mode: int = 0o644, kind: int = stat.S_IFREG) -> Found:
    return Found(content, kind, mode, 0, 0)


def _installed(wish: sample.Wish, number: int = 1) -> Generation:
    return Generation(number, _plan(wish, MemoryDisk()).generation.manifest)


def _after(*generations: Generation, **changes: object) -> Installation:
    current = generations[-1] if generations else None
    known = replace(EMPTY, current=current, latest=current, numbers=tuple(each.number for each in generations))
    return replace(known, **changes)  # type: ignore[arg-type]


def _plan(
    wish: sample.Wish,
    disk: MemoryDisk,
    installation: Installation = EMPTY,
    rendering: Rendering | None = None,
    adopt: Mapping[Path, str | None] | None = None,
) -> Plan:
    files = rendering or sample.rendering(BASE, wish)
    return make_plan(files, sample.manifest(BASE, wish, files), installation, disk, adopt=adopt)


def _kinds(plan: Plan) -> dict[Path, ChangeKind]:
    return {change.path: change.kind for change in plan.changes}


def _activations(plan: Plan) -> list[tuple[str, str]]:
    return [(each.action.value, each.program.name.removeprefix("catmaid-")) for each in plan.activations]


def test_first_install_creates_everything_and_adds_every_program() -> None:
    plan = _plan(ONE, MemoryDisk())
    assert set(_kinds(plan).values()) == {ChangeKind.CREATE}
    assert _activations(plan) == [("add", "celery"), ("add", "beat")]
    assert (plan.generation.number, plan.written, plan.problems) == (1, False, ())


def test_second_install_has_nothing_to_do() -> None:
    plan = _plan(ONE, _disk_with(sample.rendering(BASE, ONE)), _after(_installed(ONE)))
    assert plan.nothing_to_do
    assert set(_kinds(plan).values()) == {ChangeKind.KEEP}
    assert plan.activations == ()


def test_changed_section_replaces_its_program_alone() -> None:
    plan = _plan(sample.changed(ONE, celery="second"), _disk_with(sample.rendering(BASE, ONE)), _after(_installed(ONE)))
    assert [path for path, kind in _kinds(plan).items() if kind is ChangeKind.UPDATE] == [CELERY, UNIT]
    assert _activations(plan) == [("replace", "celery")]
    assert (plan.generation.number, plan.written) == (2, False)


def test_changed_script_restarts_its_programs() -> None:
    wish = replace(ONE, script="exec nice celery")
    plan = _plan(wish, _disk_with(sample.rendering(BASE, ONE)), _after(_installed(ONE)))
    assert _activations(plan) == [("restart", "celery"), ("restart", "beat")]


def test_changed_launcher_restarts_nothing() -> None:
    wish = replace(ONE, launcher="import celery.new")
    plan = _plan(wish, _disk_with(sample.rendering(BASE, ONE)), _after(_installed(ONE)))
    assert _kinds(plan)[LAUNCHER] is ChangeKind.UPDATE
    assert plan.activations == ()


def _with_comments(rendering: Rendering) -> Rendering:
    files = (
        replace(file, content=f"{first}\n# Another comment.\n{rest}")
        for file in rendering.files
        for first, _, rest in [file.content.partition("\n")]
    )
    return replace(rendering, files=tuple(files))


def test_changed_comment_restarts_nothing_and_sections_are_reloaded() -> None:
    files = _with_comments(sample.rendering(BASE, ONE))
    plan = _plan(ONE, _disk_with(sample.rendering(BASE, ONE)), _after(_installed(ONE)), files)
    assert {_kinds(plan)[path] for path in (CELERY, UNIT, SCRIPT)} == {ChangeKind.UPDATE}
    assert plan.activations == ()
    assert plan.sections == tuple(sorted(file.path for file in files.files if file.section))
    assert not plan.nothing_to_do


def test_unit_whose_stop_timeout_changed_is_reloaded_and_restarts_nothing() -> None:
    old, new = (_with_unit(f"TimeoutStopSec={seconds}\nExecStart=/bin/celery\n") for seconds in (60, 3600))
    before = Generation(1, _plan(ONE, MemoryDisk(), rendering=old).generation.manifest)
    plan = _plan(ONE, _disk_with(old), _after(before), new)
    assert [path for path, kind in _kinds(plan).items() if kind is ChangeKind.UPDATE] == [UNIT]
    assert (plan.activations, plan.sections) == ((), (UNIT,))
    edited = _disk_with(old)
    edited.files[UNIT] = _found(b"TimeoutStopSec=5\nExecStart=/bin/celery\n")
    assert _activations(_plan(ONE, edited, _after(before), new)) == [("replace", "celery")]


def _with_unit(content: str) -> Rendering:
    rendering = sample.rendering(BASE, ONE)
    files = [replace(file, content=content) if file.path == UNIT else file for file in rendering.files]
    return replace(rendering, files=tuple(files))


def test_changed_comment_of_edited_file_restarts_its_program() -> None:
    disk = _disk_with(sample.rendering(BASE, ONE))
    disk.files[SCRIPT] = _found(b"#!/bin/sh\n" + (disk.files[SCRIPT].content or b""))
    plan = _plan(ONE, disk, _after(_installed(ONE)))
    assert _activations(plan) == [("restart", "celery")]


def test_changed_interpreter_of_script_restarts_its_program() -> None:
    rendering = sample.rendering(BASE, ONE)
    scripts = [replace(file, content=f"#!/bin/bash\n{file.content}") for file in rendering.files if file.path == SCRIPT]
    others = [file for file in rendering.files if file.path != SCRIPT]
    plan = _plan(ONE, _disk_with(rendering), _after(_installed(ONE)), replace(rendering, files=(*others, *scripts)))
    assert _activations(plan) == [("restart", "celery")]


@pytest.mark.parametrize(
    "drift",
    ["mode", pytest.param("owner", marks=pytest.mark.root("a user's files have the owner they were created with"))],
)
def test_changed_mode_or_owner_is_restored_and_restarts_nothing(drift: str) -> None:
    disk = _disk_with(sample.rendering(BASE, ONE))
    found = disk.files[CELERY]
    disk.files[CELERY] = found._replace(mode=0o600) if drift == "mode" else found._replace(owner=12345)
    plan = _plan(ONE, disk, _after(_installed(ONE)))
    assert _kinds(plan)[CELERY] is ChangeKind.UPDATE
    assert not any(change.edited for change in plan.changes)
    assert plan.activations == ()
    assert not plan.nothing_to_do
    assert (plan.generation.number, plan.written) == (1, True)


def test_edited_section_is_backed_up_and_its_program_replaced() -> None:
    disk = _disk_with(sample.rendering(BASE, ONE))
    disk.files[CELERY] = _found(b"edited")
    plan = _plan(ONE, disk, _after(_installed(ONE)))
    assert [change.path for change in plan.changes if change.edited] == [CELERY]
    assert _activations(plan) == [("replace", "celery")]


def test_edit_that_equals_desired_content_is_no_edit() -> None:
    wish = sample.changed(ONE, celery="second")
    disk = _disk_with(sample.rendering(BASE, wish))
    plan = _plan(wish, disk, _after(_installed(ONE)))
    assert set(_kinds(plan).values()) == {ChangeKind.KEEP}
    assert _activations(plan) == [("replace", "celery")], "the process manager may still have the old one"


def test_deleted_section_is_restored_without_restart() -> None:
    disk = _disk_with(sample.rendering(BASE, ONE))
    del disk.files[CELERY], disk.files[SCRIPT]
    plan = _plan(ONE, disk, _after(_installed(ONE)))
    assert _kinds(plan)[CELERY] is ChangeKind.CREATE
    assert _activations(plan) == [("add", "celery")], "adding what is loaded does nothing"


def test_deleted_script_is_restored_without_activation() -> None:
    disk = _disk_with(sample.rendering(BASE, ONE))
    del disk.files[SCRIPT]
    plan = _plan(ONE, disk, _after(_installed(ONE)))
    assert _kinds(plan)[SCRIPT] is ChangeKind.CREATE
    assert plan.activations == ()


def test_unconfigured_program_is_removed_with_its_files() -> None:
    plan = _plan(
        sample.Wish({"catmaid-celery": "first"}), _disk_with(sample.rendering(BASE, ONE)), _after(_installed(ONE))
    )
    places = (sample.unit_path, sample.section_path, sample.script_path)
    assert plan.removed == tuple(place(BASE, "catmaid-beat") for place in places)
    assert _activations(plan) == [("remove", "beat")]


def test_edited_file_is_backed_up_before_removal() -> None:
    disk = _disk_with(sample.rendering(BASE, ONE))
    disk.files[CELERY] = _found(b"edited")
    plan = _plan(sample.DESIRED_STATES["none"], disk, _after(_installed(ONE)))
    assert [change.path for change in plan.changes if change.edited] == [CELERY]


def test_section_at_a_new_path_replaces_its_program() -> None:
    old = sample.rendering(BASE, ONE)
    moved = replace(
        old,
        files=tuple(
            replace(file, path=file.path.with_suffix(".ini")) if file.path == CELERY else file for file in old.files
        ),
    )
    plan = _plan(ONE, _disk_with(old), _after(_installed(ONE)), rendering=moved)
    assert plan.removed == (CELERY,)
    assert _activations(plan) == [("replace", "celery")]


def test_refusal_of_unmanaged_file_names_path_and_fix() -> None:
    plan = _plan(ONE, MemoryDisk({CELERY: _found(b"[program:catmaid-celery]")}))
    (problem,) = plan.problems
    assert f"{CELERY} exists, and procman did not install it" in problem
    assert f"procman install --replace {CELERY}" in problem


def test_all_refusals_are_reported_at_once() -> None:
    disk = MemoryDisk({CELERY: _found(b"foreign"), SCRIPT: _found(b"foreign")}, forbidden={LAUNCHER: "not yours"})
    assert len(_plan(ONE, disk).problems) == 3


@pytest.mark.parametrize(
    ("kind", "noun"),
    [
        (stat.S_IFLNK, "a symbolic link"),
        (stat.S_IFDIR, "a directory"),
        (stat.S_IFIFO, "a pipe"),
        (stat.S_IFBLK, "device"),
    ],
)
def test_non_file_in_place_of_managed_file_is_not_replaced(kind: int, noun: str) -> None:
    disk = _disk_with(sample.rendering(BASE, ONE))
    disk.files[CELERY] = _found(None, kind=kind)
    (problem,) = _plan(ONE, disk, _after(_installed(ONE))).problems
    assert noun in problem


def test_non_file_in_place_of_managed_file_is_not_removed() -> None:
    disk = _disk_with(sample.rendering(BASE, ONE))
    disk.files[CELERY] = _found(None, kind=stat.S_IFLNK)
    assert CELERY not in make_removal(_after(_installed(ONE)), disk).removed


def test_files_with_desired_content_are_managed_after_state_is_lost() -> None:
    plan = _plan(ONE, _disk_with(sample.rendering(BASE, ONE)))
    assert plan.problems == ()
    assert set(_kinds(plan).values()) == {ChangeKind.KEEP}
    assert _activations(plan) == [("add", "celery"), ("add", "beat")]


def test_same_bytes_without_marker_are_unmanaged() -> None:
    file = RenderedFile(BASE / "etc/supervisor/conf.d/x.conf", "[program:x]\n", 0o644, sample.OWNER, None, ())
    plan = _plan(ONE, _disk_with(Rendering((), (file,))), rendering=Rendering((), (file,)))
    assert "x.conf exists, and procman did not install it" in plan.problems[0]


def test_adopted_file_is_backed_up_and_its_program_replaced() -> None:
    plan = _plan(ONE, MemoryDisk({CELERY: _found(b"[program:catmaid-celery]")}), adopt={CELERY: None})
    assert plan.problems == ()
    (change,) = [change for change in plan.changes if change.foreign]
    assert (change.path, change.kind) == (CELERY, ChangeKind.UPDATE)
    assert _activations(plan) == [("replace", "celery"), ("add", "beat")]
    assert [file.path for file in plan.generation.manifest.replaced] == [CELERY]


def test_adopted_file_keeps_remaining_sections() -> None:
    foreign = BASE / "etc/supervisor/conf.d/foreign.conf"
    disk = MemoryDisk({foreign: _found(b"[program:a]\n[program:b]\n", 0o600)})
    (change,) = [each for each in _plan(ONE, disk, adopt={foreign: "[program:b]\n"}).changes if each.foreign]
    assert change.new is not None
    assert (change.kind, change.new_content, change.new.mode) == (ChangeKind.UPDATE, b"[program:b]\n", 0o600)
    plan = _plan(ONE, disk, adopt={foreign: None})
    assert foreign in plan.removed
    assert foreign not in [file.path for file in plan.generation.manifest.files]


def test_adoption_keeps_bytes_that_are_not_utf8() -> None:
    foreign = BASE / "etc/supervisor/conf.d/foreign.conf"
    disk = MemoryDisk({foreign: _found(b"; gr\xf6\xdfe\n[program:a]\n")})
    left = b"; gr\xf6\xdfe\n".decode("utf-8", "surrogateescape")
    (change,) = [each for each in _plan(ONE, disk, adopt={foreign: left}).changes if each.foreign]
    assert change.new_content == b"; gr\xf6\xdfe\n"


def test_shared_file_stays_while_another_project_uses_it() -> None:
    disk = _disk_with(sample.rendering(BASE, ONE))
    other = sample.manifest(BASE, ONE, sample.rendering(BASE, ONE, "other"), "other")
    assert SHARED in make_removal(_after(_installed(ONE)), disk).removed
    assert SHARED not in make_removal(_after(_installed(ONE), others=(other,)), disk).removed


def test_shared_file_of_another_project_is_managed() -> None:
    rendering = sample.rendering(BASE, ONE)
    newer = replace(rendering.files[1], content="of a newer procman")
    assert newer.path == SHARED
    other = sample.manifest(BASE, ONE, Rendering((), (newer,)), "other")
    plan = _plan(ONE, MemoryDisk({SHARED: _found(content_of(newer))}), _after(others=(other,)))
    (change,) = [change for change in plan.changes if change.path == SHARED]
    assert (plan.problems, change.kind, change.edited) == ((), ChangeKind.UPDATE, False)


def test_pending_activations_are_planned_again() -> None:
    beat = Activation(Action.RESTART, sample.installed(BASE, "catmaid-beat"), desired=True)
    installation = _after(_installed(ONE), pending=Pending(1, (), (beat,)))
    plan = _plan(ONE, _disk_with(sample.rendering(BASE, ONE)), installation)
    assert not plan.nothing_to_do
    assert [(each.action, each.desired) for each in plan.activations] == [(Action.RESTART, True)]


def test_files_of_interrupted_install_are_managed() -> None:
    second = sample.changed(ONE, celery="second")
    disk = _disk_with(sample.rendering(BASE, second))
    interrupted = _installed(second, 2)
    known = _after(_installed(ONE), latest=interrupted, numbers=(1, 2), unfinished=(interrupted,))
    back = _plan(ONE, disk, replace(known, pending=Pending(2, (2,), ())))
    assert back.problems == ()
    assert _kinds(back)[CELERY] is ChangeKind.UPDATE
    assert not any(change.edited for change in back.changes)
    assert (back.generation.number, back.obsolete) == (1, (2,))
    assert _activations(back) == [("replace", "celery")]
    forward = _plan(second, disk, replace(known, pending=Pending(2, (2,), ())))
    assert (forward.generation, forward.written, forward.obsolete) == (interrupted, True, ())


def test_file_edited_during_interrupted_install_is_unmanaged() -> None:
    interrupted = _installed(ONE)
    known = _after(latest=interrupted, numbers=(1,), unfinished=(interrupted,), pending=Pending(1, (1,), ()))
    disk = MemoryDisk({CELERY: _found(b"written by hand since")})
    assert "procman did not install it" in _plan(ONE, disk, known).problems[0]
    assert CELERY not in make_removal(known, disk).removed


def test_unwanted_program_of_interrupted_install_is_removed() -> None:
    interrupted = _installed(ONE)
    celery = Activation(Action.ADD, sample.installed(BASE, "catmaid-celery"))
    known = _after(latest=interrupted, numbers=(1,), unfinished=(interrupted,), pending=Pending(1, (1,), (celery,)))
    plan = _plan(sample.DESIRED_STATES["none"], _disk_with(sample.rendering(BASE, ONE)), known)
    assert CELERY in plan.removed
    assert _activations(plan) == [("remove", "celery")]


def test_files_of_uninstalled_project_are_unmanaged() -> None:
    known = _after(current=None, latest=_installed(ONE), numbers=(1,))
    plan = _plan(ONE, MemoryDisk({CELERY: _found(b"written by hand since")}), known)
    assert "procman did not install it" in plan.problems[0]


def test_generation_written_but_not_begun_is_used_or_dropped() -> None:
    second = sample.changed(ONE, celery="second")
    known = _after(_installed(ONE), latest=_installed(second, 2), numbers=(1, 2))
    disk = _disk_with(sample.rendering(BASE, ONE))
    assert _plan(second, disk, known).generation.number == 2
    assert _plan(second, disk, known).written
    other = _plan(sample.changed(ONE, celery="third"), disk, known)
    assert (other.generation.number, other.obsolete) == (3, (2,))


def test_missing_directories_are_created_parents_first() -> None:
    places = sample.directories(BASE)
    gone = frozenset({places.library.parent, places.library, BASE / "usr/local/lib", places.data})
    plan = _plan(ONE, MemoryDisk(no_directories=gone))
    made = [directory.path for directory in plan.directories]
    assert made == [BASE / "usr/local/lib", places.library.parent, places.library, places.data]
    # The others are shared by all projects, and recorded elsewhere.
    assert plan.generation.manifest.directories_made == tuple(sorted([places.library, places.data]))


def test_file_in_place_of_directory_is_refused() -> None:
    places = sample.directories(BASE)
    plan = _plan(ONE, MemoryDisk({places.library: _found(b"")}, no_directories=frozenset({places.library})))
    assert f"{places.library} is a file, but procman needs a directory there: move it away" in plan.problems


def test_unknown_owner_is_one_of_the_problems() -> None:
    rendering = sample.rendering(BASE, ONE)
    stranger = replace(rendering, files=tuple(replace(file, owner="no-such-user") for file in rendering.files))
    plan = _plan(ONE, MemoryDisk(), rendering=stranger)
    assert plan.problems == ("there is no user no-such-user on this host: check with: getent passwd no-such-user",)


def test_own_temporary_files_are_leftovers_others_are_not() -> None:
    folder = CELERY.parent
    ours, foreign = ".catmaid-celery.conf.procman-0123456789abcdef", ".other.conf.procman-0123456789abcdef"
    disk = _disk_with(sample.rendering(BASE, ONE))
    disk.leftovers = (folder / ours, folder / foreign)
    plan = _plan(ONE, disk, _after(_installed(ONE)))
    assert plan.leftovers == (folder / ours,)
    assert not plan.nothing_to_do


def test_paths_of_earlier_generations_are_kept_in_manifest() -> None:
    manifest: Manifest = replace(
        _installed(ONE).manifest,
        directories_made=(BASE / "made",),
        log_files=(BASE / "old.log",),
        schedule_files=(BASE / "old",),
    )
    plan = _plan(sample.DESIRED_STATES["two"], MemoryDisk(), _after(Generation(1, manifest)))
    assert BASE / "made" in plan.generation.manifest.directories_made
    assert BASE / "old.log" in plan.generation.manifest.log_files
    assert BASE / "old" in plan.generation.manifest.schedule_files


def test_manifest_lists_every_rendered_file() -> None:
    rendering = sample.rendering(BASE, ONE)
    assert _plan(ONE, MemoryDisk()).generation.manifest.files == tuple(installed_file(file) for file in rendering.files)


def test_log_of_a_command_needs_a_directory_in_which_only_root_writes() -> None:
    rendering = sample.rendering(BASE, ONE)
    before = sample.manifest(BASE, ONE, rendering)
    first, *others = before.programs
    logged = replace(first, key="command.web", log_file="/srv/web/log", error_log="/var/log/web/error.log")
    desired = replace(before, programs=(logged, *others))
    shared, gone = frozenset({Path("/srv/web")}), frozenset({Path("/var/log/web")})
    plan = make_plan(rendering, desired, EMPTY, MemoryDisk(shared=shared, no_directories=gone))
    assert set(plan.problems) >= {
        "/srv/web is writable by users other than root: chmod go-w /srv/web",
        "command.web: the directory /var/log/web of its log does not exist: install -d /var/log/web",
    }
    own = make_plan(rendering, replace(desired, scope=Scope.USER), EMPTY, MemoryDisk(shared=shared))
    assert not [problem for problem in own.problems if "/srv/web" in problem]


@pytest.mark.parametrize(("owner", "problems"), [("celery", 1), ("root", 0), (None, 0)])
def test_log_of_a_command_is_not_in_a_directory_that_procman_gives_to_a_user(owner: str | None, problems: int) -> None:
    rendering = sample.rendering(BASE, ONE)
    before = sample.manifest(BASE, ONE, rendering)
    of_user = RenderedDirectory(BASE / "var/log/catmaid/catmaid-web", 0o750, owner, owner)
    logged = replace(before.programs[0], key="command.web", log_file=str(of_user.path / "web.log"))
    rendering = replace(rendering, directories=(*rendering.directories, of_user))
    plan = make_plan(rendering, replace(before, programs=(logged,)), EMPTY, MemoryDisk())
    assert len([each for each in plan.problems if "which belongs to celery" in each]) == problems
