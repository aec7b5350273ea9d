"""The programs' own directories when the project gets another user: handed over, and nothing else with them (S3)."""

from __future__ import annotations

import os
import pwd
from dataclasses import replace
from pathlib import Path

from procman.install.plan.apply import apply
from procman.install.plan.plan import Plan
from procman.install.safe_fs.tree import Tree
from procman.project import Rendering
from tests.install import sample
from tests.install.people import NOBODY, as_nobody, needs_root

pytestmark = needs_root

DAEMON = pwd.getpwnam("daemon")
ONE = sample.DESIRED_STATES["one"]


def _run(base: Path) -> Path:
    return sample.directories(base).run("catmaid-celery")


def _plan_for(base: Path, user: str) -> Plan:
    files = sample.rendering(base, ONE)
    owned = tuple(
        replace(each, owner=user) if each.owner == sample.SERVICE_USER else each for each in files.directories
    )
    files = Rendering(owned, files.files)
    return sample.plan_for(base, files, sample.manifest(base, ONE, files))


def _install_for(base: Path, user: str) -> Plan:
    made = _plan_for(base, user)
    with Tree() as tree:
        apply(tree, made, sample.CONFIGURATION)
        sample.activate(tree, base, sample.directories(base))
    return made


def _owner(path: Path) -> int:
    return path.lstat().st_uid


def test_directories_of_programs_go_to_the_new_user_with_their_files_and_the_schedule_stays(public: Path) -> None:
    base = sample.make_host(public / "host")
    sample.install(base, ONE)
    as_nobody((_run(base) / "lock").touch)
    assert [each.path.name for each in _install_for(base, "daemon").handed_over] == ["catmaid-celery", "catmaid-beat"]
    assert _owner(_run(base)) == _owner(_run(base) / "lock") == DAEMON.pw_uid
    # A pickle: whoever made it would run code as the new user. `procman check` says what to do.
    assert _owner(sample.directories(base).data) == NOBODY.pw_uid
    assert _plan_for(base, "daemon").nothing_to_do


def test_what_the_former_user_planted_stays_as_it_was(public: Path) -> None:
    base = sample.make_host(public / "host")
    secret = public / "secret"
    secret.write_text("root's")
    sample.install(base, ONE)
    run, mine = _run(base), base / "var/lib/catmaid/mine"

    def plant() -> None:
        (run / "link").symlink_to(secret)
        mine.write_text("his own, elsewhere")
        (run / "hard").hardlink_to(mine)
        os.mkfifo(run / "pipe")
        (run / "deep").mkdir()
        (run / "deep/file").touch()
        (run / "beat").write_text("x")

    as_nobody(plant)
    os.link(secret, run / "roots")
    _install_for(base, "daemon")
    assert _owner(secret) == 0
    assert {path.name: _owner(path) for path in run.iterdir()} == {
        "link": NOBODY.pw_uid,
        "hard": NOBODY.pw_uid,
        "pipe": NOBODY.pw_uid,
        "deep": NOBODY.pw_uid,
        "beat": DAEMON.pw_uid,
        "roots": 0,
    }


def test_half_a_hand_over_is_completed_by_the_next_run(public: Path) -> None:
    base = sample.make_host(public / "host")
    sample.install(base, ONE)
    for name in ("lock", "heartbeat.json"):
        as_nobody((_run(base) / name).touch)
    os.chown(_run(base) / "lock", DAEMON.pw_uid, -1)
    _install_for(base, "daemon")
    assert {_owner(path) for path in (_run(base), *_run(base).iterdir())} == {DAEMON.pw_uid}
