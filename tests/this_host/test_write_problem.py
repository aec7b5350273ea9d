"""Why a program cannot write to its run directory, seen from outside: modes, owners and mounts."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from procman.host.mounts import is_read_only
from procman.host.write_problem import write_problem
from tests.install.people import NOBODY, needs_root, public_directory


def test_own_directory_has_no_problem(tmp_path: Path) -> None:
    assert write_problem(tmp_path, None, os.getpid()) is None


def test_missing_directory_is_a_problem(tmp_path: Path) -> None:
    directory = tmp_path / "run/catmaid-celery"
    problem = write_problem(directory, None, os.getpid())
    assert problem == (f"its directory is missing: {directory}", "procman install")


@needs_root
@pytest.mark.parametrize(
    ("owner", "mode", "above", "reason", "hint"),
    [
        (NOBODY.pw_uid, 0o755, 0o755, "", ""),
        (0, 0o755, 0o755, "{run} belongs to root, not to nobody", "chown nobody {run}"),
        (NOBODY.pw_uid, 0o555, 0o755, "nobody may not write to {run} (mode 0555)", "chmod u+rwx {run}"),
        (NOBODY.pw_uid, 0o755, 0o700, "nobody may not enter {above} (mode 0700)", "chmod a+x {above}"),
    ],
    ids=["as installed", "of root", "read-only", "below a closed directory"],
)
def test_mode_or_owner_is_named_with_its_remedy(owner: int, mode: int, above: int, reason: str, hint: str) -> None:
    for public in public_directory():
        run = public / "state/run"
        run.mkdir(parents=True)
        os.chown(run, owner, -1)
        run.chmod(mode)
        run.parent.chmod(above)
        found = write_problem(run, "nobody", os.getpid())
        names = {"run": run, "above": run.parent}
        assert found == ((reason.format(**names), hint.format(**names)) if reason else None)


@needs_root
@pytest.mark.parametrize("attribute", ["i", "a"])
def test_attribute_of_the_directory_is_named_with_its_remedy(attribute: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    subprocess.run(["chattr", f"+{attribute}", run], check=True)
    try:
        found = write_problem(run, None, os.getpid())
    finally:
        subprocess.run(["chattr", f"-{attribute}", run], check=True)
    assert found == (f"{run} has the attribute {attribute} (lsattr -d)", f"chattr -{attribute} {run}")


@needs_root
def test_read_only_mount_is_seen_in_the_process_own_view(tmp_path: Path) -> None:
    run = tmp_path / "a b"
    run.mkdir()
    mounts = 'mount -t tmpfs tmpfs "$0" && mount -o remount,bind,ro "$0" && echo mounted && exec sleep 1000'
    with subprocess.Popen(["unshare", "--mount", "sh", "-c", mounts, run], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"mounted\n"
        try:
            assert is_read_only(process.pid, run)
            assert not is_read_only(process.pid, tmp_path)
            assert not is_read_only(os.getpid(), run)
            found = write_problem(run, None, process.pid)
            assert found
            assert found.reason == f"{run} is on a read-only file system"
        finally:
            process.kill()


def test_user_that_does_not_exist_has_no_problem_here(tmp_path: Path) -> None:
    assert write_problem(tmp_path, "no-such-user", os.getpid()) is None
