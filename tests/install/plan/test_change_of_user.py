"""A project that gets another user gives that user the programs' own directories, and nothing else (S3)."""

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


def test_new_user_gets_program_directories_with_files_but_not_schedule(public: Path) -> None:
    base = sample.make_host(public / "host")
    sample.install(base, ONE)
    as_nobody((_run(base) / "lock").touch)
    assert [each.path.name for each in _install_for(base, "daemon").handed_over] == ["catmaid-celery", "catmaid-beat"]
    assert _owner(_run(base)) == _owner(_run(base) / "lock") == DAEMON.pw_uid
    # The schedule is a pickle: its author could run code as the new user. `procman check` reports what to do.
    assert _owner(sample.directories(base).data) == NOBODY.pw_uid
    assert _plan_for(base, "daemon").nothing_to_do


def test_links_planted_by_former_user_are_not_followed(public: Path) -> None:
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


def test_next_run_completes_partial_change_of_owner(public: Path) -> None:
    base = sample.make_host(public / "host")
    sample.install(base, ONE)
    for name in ("lock", "heartbeat.json"):
        as_nobody((_run(base) / name).touch)
    os.chown(_run(base) / "lock", DAEMON.pw_uid, -1)
    _install_for(base, "daemon")
    assert {_owner(path) for path in (_run(base), *_run(base).iterdir())} == {DAEMON.pw_uid}
