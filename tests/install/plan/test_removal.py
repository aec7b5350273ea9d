"""R9: what an uninstall removes, what it leaves and lists; a purge leaves the tree as it was."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from procman.config.directories import directories_for
from procman.errors import ProcmanError
from procman.install.plan.plan import make_removal
from procman.install.plan.removal import clear, remove_files
from procman.install.safe_fs.tree import Tree
from procman.install.state.event_log import Event, append_event
from procman.install.state.generations import read_installation, read_pending
from procman.install.state.holds import Hold, write_hold
from procman.install.state.scope_directories import installed_projects
from procman.model import Directories, Scope
from tests.install import sample
from tests.install.people import NOBODY, as_nobody, needs_root
from tests.install.sample import DESIRED_STATES, changed
from tests.install.snapshot import Snapshot, contents

ONE = DESIRED_STATES["one"]


def _tree(host: Path) -> Snapshot:
    return {name: found for name, found in contents(host).items() if not name.startswith("loaded")}


def _run_programs(host: Path) -> None:
    """Create the files that programs leave behind when they have run."""
    places = sample.directories(host)
    for name in ("catmaid-celery", "catmaid-beat"):
        lock = places.run(name) / "lock"
        lock.touch()
        for suffix in ("", ".1", ".12"):
            (places.logs / f"{name}.log{suffix}").write_text("ready\n")
        if sample.ROOT:
            os.chown(lock, NOBODY.pw_uid, -1)


def test_purge_leaves_tree_as_it_was_byte_for_byte(host: Path) -> None:
    before = _tree(host)
    sample.install(host, ONE)
    _run_programs(host)
    sample.install(host, DESIRED_STATES["two"])
    remains = sample.remove(host, purge=True)
    assert _tree(host) == before
    assert remains.stays == ()


def test_purge_keeps_and_lists_what_a_command_logs_to_elsewhere(host: Path) -> None:
    sample.install(host, ONE)
    [file] = sample.directories(host).state.glob("generations/*/manifest.json")
    found = json.loads(file.read_text())
    elsewhere = [host / "var/web.log", host / "var/precious"]
    file.write_text(json.dumps({**found, "log_files": [*found["log_files"], *map(str, elsewhere)]}))
    elsewhere[0].write_text("GET /\n")
    (elsewhere[1] / "below").mkdir(parents=True)
    assert sample.remove(host, purge=True).stays == tuple(sorted(elsewhere))
    assert [path.exists() for path in elsewhere] == [True, True]


def test_uninstall_is_on_record_until_nothing_is_installed(host: Path) -> None:
    sample.install(host, ONE)
    places = sample.directories(host)
    with Tree() as tree:
        installation = read_installation(tree, places)
        remove_files(tree, make_removal(installation, tree))
        sample.activate(tree, host, places)
        pending = read_pending(tree, places.state)
        assert pending
        assert (pending.uninstall, pending.activations) == (True, ())
        clear(tree, places, installation, purge=False)
        assert read_pending(tree, places.state) is None
        assert installed_projects(tree, places.shared_state) == []


def test_purge_after_uninstall_leaves_tree_as_it_was(host: Path) -> None:
    before = _tree(host)
    sample.install(host, ONE)
    _run_programs(host)
    sample.remove(host)
    sample.remove(host, purge=True)
    assert _tree(host) == before


def test_purge_after_second_install_leaves_nothing_of_either(host: Path) -> None:
    before = _tree(host)
    sample.install(host, ONE)
    sample.remove(host)
    sample.install(host, changed(ONE, celery="second"))
    sample.remove(host, purge=True)
    assert _tree(host) == before


def test_uninstall_leaves_and_lists_logs_schedule_generations_and_backups(host: Path) -> None:
    before = _tree(host)
    sample.install(host, ONE)
    _run_programs(host)
    places = sample.directories(host)
    schedule = places.data / "schedule"
    schedule.write_text("when")
    sample.section_path(host, "catmaid-celery").write_text("edited")
    remains = sample.remove(host)
    copies = list((places.state / "set-aside").rglob("*.conf"))
    logs = list(places.logs.iterdir())
    assert len(logs) == 6
    assert len(copies) == 1
    assert {*logs, *copies, schedule, places.state / "generations"} <= set(remains.stays)
    left = {host / name for name in set(_tree(host)) - set(before)}
    assert not [path for path in left if "etc" in path.parts and places.state not in path.parents]
    assert not places.library.parent.exists()
    assert sample.loaded(host) == {}


def test_uninstalled_project_is_not_listed_as_installed(host: Path, tree: Tree) -> None:
    places = sample.directories(host)
    sample.install(host, ONE)
    sample.install(host, DESIRED_STATES["none"], name="other")
    assert installed_projects(tree, places.shared_state) == ["catmaid", "other"]
    sample.remove(host)
    assert installed_projects(tree, places.shared_state) == ["other"]


def test_purge_keeps_schedule(host: Path) -> None:
    before = _tree(host)
    sample.install(host, ONE)
    places = sample.directories(host)
    (places.data / "schedule").write_text("when")
    remains = sample.remove(host, purge=True)
    assert set(_tree(host)) - set(before) == {"var/lib/catmaid", "var/lib/catmaid/schedule"}
    assert remains.stays == (places.data / "schedule", places.data)


def test_schedule_is_listed_under_its_dbm_names(host: Path) -> None:
    places = sample.directories(host)
    places.data.mkdir()
    sample.install(host, ONE)
    for suffix in (".dat", ".dir", ".bak"):
        (places.data / f"schedule{suffix}").touch()
    (places.data / "other").touch()
    stays = sample.remove(host).stays
    assert [path.name for path in stays if path.parent == places.data] == [
        "schedule.bak",
        "schedule.dat",
        "schedule.dir",
    ]


@needs_root
def test_schedule_in_directory_of_service_user_is_listed_unseen(public: Path) -> None:
    host = sample.make_host(public / "host")
    sample.install(host, ONE)
    places = sample.directories(host)
    assert places.data.stat().st_uid == NOBODY.pw_uid
    as_nobody((places.data / "schedule").touch)
    assert places.data / "schedule" in sample.remove(host).stays


def test_existing_directory_stays_even_if_empty(host: Path) -> None:
    places = sample.directories(host)
    for path in (places.logs, places.shared_configuration, places.shared_state):
        path.mkdir(parents=True)
    before = _tree(host)
    sample.install(host, ONE)
    sample.remove(host, purge=True)
    assert _tree(host) == before


def test_unmanaged_files_in_our_directories_stay_and_are_listed(host: Path) -> None:
    before = _tree(host)
    sample.install(host, ONE)
    places = sample.directories(host)
    (places.logs / "django.log").write_text("of the project")
    (places.configuration / "notes.txt").write_text("of the administrator")
    remains = sample.remove(host, purge=True)
    left = {host / name for name in set(_tree(host)) - set(before)}
    assert {places.logs / "django.log", places.configuration / "notes.txt"} <= left
    assert {places.logs, places.configuration} == set(remains.stays)


def test_purge_in_user_scope_leaves_new_home_as_it_was(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = host / "home/ada"
    home.mkdir(parents=True)
    monkeypatch.setattr(sample, "directories", lambda _, name="catmaid": _of_user(home, name))
    before = _tree(host)
    sample.install(host, ONE)
    assert _of_user(home, "catmaid").state == home / ".local/state/procman/catmaid"
    _run_programs(host)
    sample.remove(host, purge=True)
    assert _tree(host) == before


def test_purge_keeps_schedule_below_state(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = _of_user(host, "catmaid")
    places = replace(places, data=places.state / "data")
    monkeypatch.setattr(sample, "directories", lambda *_: places)
    sample.install(host, ONE)
    (places.data / "schedule").write_text("when")
    sample.remove(host, purge=True)
    assert (places.data / "schedule").read_text() == "when"
    assert [path.name for path in places.state.iterdir()] == ["data"]


def test_uninstall_backs_up_edited_file(host: Path) -> None:
    sample.install(host, ONE)
    section = sample.section_path(host, "catmaid-celery")
    section.write_text("edited")
    sample.remove(host)
    assert not section.exists()
    copies = (sample.directories(host).state / "set-aside").rglob("*.conf")
    assert [copy.read_text() for copy in copies] == ["edited"]


@pytest.mark.parametrize("first", ["catmaid", "other"])
def test_shared_file_is_removed_with_second_project(host: Path, first: str) -> None:
    before = _tree(host)
    second = "other" if first == "catmaid" else "catmaid"
    shared = host / "etc/procman/shared.conf"
    for name in ("catmaid", "other"):
        sample.install(host, sample.Wish({}), name=name)
    sample.remove(host, first, purge=True)
    assert shared.exists()
    assert sample.plan(host, sample.Wish({}), name=second).nothing_to_do
    sample.remove(host, second, purge=True)
    assert _tree(host) == before


def test_last_purge_removes_directory_of_embedded_supervisord(host: Path) -> None:
    before = _tree(host)
    sample.install_embedded(host, ONE)
    own = sample.directories(host).shared_state / "supervisor"
    (own / "supervisord.log").write_text("started")
    sample.remove(host)
    assert own.exists()
    sample.remove(host, purge=True)
    assert _tree(host) == before


def test_empty_shared_directory_stays_while_another_project_uses_it(host: Path) -> None:
    for name in ("catmaid", "other"):
        sample.install_embedded(host, sample.Wish({}), name)
    own = sample.directories(host).shared_state / "supervisor"
    sample.remove(host)
    assert own.exists()
    sample.remove(host, "other")
    assert not own.exists()


def test_uninstall_restores_adopted_file(host: Path) -> None:
    foreign = sample.section_path(host, "catmaid-celery")
    foreign.write_text("[program:catmaid-celery]\n")
    foreign.chmod(0o604)
    both = host / "etc/supervisor/conf.d/catmaid.conf"
    both.write_text("[program:catmaid-beat]\n[program:web]\n")
    gone = host / "etc/supervisor/conf.d/group.conf"
    gone.write_text("[group:catmaid]\n")
    before = _tree(host)
    sample.install(host, ONE, {foreign: None, both: "[program:web]\n", gone: None})
    assert (both.read_text(), gone.exists()) == ("[program:web]\n", False)
    sample.install(host, changed(ONE, celery="second"))
    remains = sample.remove(host, purge=True)
    assert remains.restored == (foreign, both, gone)
    assert _tree(host) == before


def test_file_that_was_adopted_from_twice_is_restored_as_it_was_before_the_first(host: Path) -> None:
    foreign = sample.foreign(host)
    foreign.write_text("[program:a]\n[program:b]\n")
    sample.install(host, ONE, {foreign: "[program:b]\n"})
    sample.install(host, DESIRED_STATES["two"], {foreign: None})
    assert not foreign.exists()
    sample.remove(host)
    assert foreign.read_text() == "[program:a]\n[program:b]\n"


def test_adopted_file_changed_since_is_not_restored(host: Path) -> None:
    both = host / "etc/supervisor/conf.d/catmaid.conf"
    both.write_text("[program:catmaid-beat]\n[program:web]\n")
    sample.install(host, ONE, {both: "[program:web]\n"})
    both.write_text("[program:web]\ncommand=new\n")
    remains = sample.remove(host)
    assert remains.restored == ()
    assert both.read_text() == "[program:web]\ncommand=new\n"
    copies = (sample.directories(host).state / "set-aside").rglob("catmaid.conf")
    assert [copy.read_text() for copy in copies] == ["[program:catmaid-beat]\n[program:web]\n"]


def test_interrupted_first_install_can_be_uninstalled(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _tree(host)
    with monkeypatch.context() as patched:
        patched.setattr("procman.install.state.generations.make_current", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            sample.install(host, ONE)
    assert sample.section_path(host, "catmaid-celery").exists()
    sample.remove(host, purge=True)
    assert _tree(host) == before


def test_project_that_is_not_installed_cannot_be_removed(host: Path, tree: Tree) -> None:
    with pytest.raises(ProcmanError, match="nothing of this project is installed"):
        make_removal(read_installation(tree, sample.directories(host)), tree)


@needs_root
def test_purge_follows_no_link_in_program_directory(public: Path) -> None:
    host = sample.make_host(public / "host")
    sample.install(host, ONE)
    run = sample.directories(host).run("catmaid-celery")
    as_nobody(lambda: (run / "lock").symlink_to(host / "var/lib/other.conf"))
    as_nobody(lambda: (run / "directory").symlink_to(host / "var/lib"))
    sample.remove(host, purge=True)
    assert (host / "var/lib/other.conf").read_text() == sample.OTHER


def _of_user(home: Path, name: str) -> Directories:
    return directories_for(name, Scope.USER, {"HOME": str(home)})


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_uninstall_removes_holds_and_purge_removes_event_log(host: Path) -> None:
    before = _tree(host)
    sample.install(host, ONE)
    state = sample.directories(host).state
    with Tree() as tree:
        write_hold(tree, state, Hold("catmaid-celery", "ann", 1.0, None, ""), 0o755)
        append_event(tree, state, Event(1.0, "catmaid-celery", "held"))
    (state / "events.jsonl.1").touch()
    for name in ("healing.json", "broker-look.json"):
        (state / name).touch()
    remains = sample.remove(host)
    assert {state / "events.jsonl", state / "events.jsonl.1"} <= set(remains.stays)
    assert not (state / "holds").exists()
    assert not (state / "healing.json").exists()
    assert not (state / "broker-look.json").exists()
    sample.remove(host, purge=True)
    assert _tree(host) == before
