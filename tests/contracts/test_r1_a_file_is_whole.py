"""R1: a managed file is wholly old or wholly new, whenever an install is killed; tests/install kills at any call."""

from __future__ import annotations

import time

from tests.attacks.host import AttackedHost

OURS = ("/etc/procman", "/usr/local/lib/procman")
MOMENTS = (0.1, 0.3, 0.45, 0.6, 0.75, 0.9)
"""Moments of the kill, as parts of the time of an install that is not killed."""


def files(host: AttackedHost) -> dict[str, tuple[bytes, int, int]]:
    """Return content, mode and owner of every managed file under its own name."""
    found = {}
    for top in OURS:
        for path in host.path(top).rglob("*"):
            if path.is_file() and ".procman-" not in path.name:
                status = path.stat()
                found[path.name] = (path.read_bytes(), status.st_mode, status.st_uid)
    return found


def change(host: AttackedHost, turn: int) -> None:
    host.configure(rest=f"[environment]\nTURN = '{turn}'\n" + f"FILLING = '{turn * 1000}'\n" * (turn % 2))


def test_install_killed_at_any_moment_leaves_every_file_old_or_new(host: AttackedHost) -> None:
    host.procman("install")
    change(host, 0)
    begun = time.monotonic()
    host.procman("install")
    whole = time.monotonic() - begun
    old = files(host)
    for turn, part in enumerate(MOMENTS, 1):
        change(host, turn)
        with host.start("exec procman --config /etc/catmaid/procman.toml install") as killed:
            time.sleep(whole * part)
            for pid in host.pids("procman-under-test.py"):
                host.run(f"kill -9 {pid}", "root", check=False)
            killed.communicate(timeout=120)
        between = files(host)
        host.procman("install")
        new = files(host)
        assert between.keys() == new.keys()
        torn = [name for name, found in between.items() if found not in (old[name], new[name])]
        assert torn == []
        old = new
    assert not [path for top in OURS for path in host.path(top).rglob("*.procman-*")]
