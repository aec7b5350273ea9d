"""R9: uninstall removes the files that procman wrote and no others; after --purge only the schedule is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.attacks.host import CONFIGURATION, TOML, AttackedHost
from tests.host.overlay import UPPER
from tests.product import Product

pytestmark = [pytest.mark.supervisord, pytest.mark.celery]

Snapshot = dict[str, tuple[int, int, int, bytes]]


def tree(directory: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(directory)): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in directory.rglob("*")
        if path.relative_to(directory).parts[0] not in ("code", "data", "d")
    }


def test_purge_leaves_only_the_schedule(product: Product) -> None:
    product.configure("[worker.celery]\nconcurrency = 1\n[beat]")
    before = tree(product.directory)
    product.procman("install", "--wait", "60")
    edited = product.directory / "c/procman/catmaid/catmaid-celery.sh"
    edited.write_text(edited.read_text() + "# by hand\n")
    assert "was changed by hand" in product.procman("status").stdout
    kept = product.procman("uninstall")
    assert "celerybeat-schedule" in kept.stdout
    assert "set-aside" in kept.stdout
    assert "supervisord.log" in kept.stdout
    assert not (product.directory / "c").exists()
    # --purge works after an uninstall, and on an installed project.
    product.procman("uninstall", "--purge")
    assert tree(product.directory) == before
    product.procman("install", "--wait", "60")
    product.procman("uninstall", "--purge")
    assert tree(product.directory) == before
    left = [path.name for path in (product.directory / "d").rglob("*") if path.is_file()]
    assert left
    assert all(name.startswith("celerybeat-schedule") for name in left)
    assert not product.processes()


def test_install_reports_backups_and_offers_no_undo_of_a_repair(product: Product) -> None:
    product.configure('[command.sleep]\nargv = ["sleep", "1000"]\nlauncher = false')
    assert f"undo      {product.procman_line} uninstall" in product.procman("install").stdout
    edited = product.directory / "c/procman/catmaid/catmaid-sleep.sh"
    edited.write_text("exec sleep 2000\n")
    again = product.procman("install").stdout
    assert f"backed up {edited} to {product.directory}/s/procman/catmaid/set-aside" in again
    assert "undo" not in again
    product.configure('[command.sleep]\nargv = ["sleep", "3000"]\nlauncher = false')
    changed = product.procman("install").stdout
    assert "backed up" not in changed
    assert f"undo      {product.procman_line} rollback" in changed


def written(host: AttackedHost) -> Snapshot:
    """Return owner, group, mode and content of every file that differs between `host` and this machine."""
    upper, found = host.path(UPPER), {}
    for path in upper.rglob("*"):
        status, name = path.lstat(), "/" + str(path.relative_to(upper))
        # A write below a directory of this machine copies the directory to the overlay.
        if not (path.is_dir() and Path(name).is_dir()):
            content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            found[name] = (status.st_uid, status.st_gid, status.st_mode, content)
    return found


LIFE = (
    "install --wait 30",
    "hold one",
    "heal",
    "stop two",
    "install",
    "rollback",
    "release",
    "restart",
)


@pytest.mark.parametrize("backend", ["embedded", "existing"])
def test_purge_after_faults_and_edits_restores_the_host_byte_for_byte(host: AttackedHost, backend: str) -> None:
    if backend == "existing":
        host.root("mkdir -p /etc/other/conf.d")
        host.write("/etc/other/supervisord.conf", OTHER)
        host.write("/etc/other/conf.d/other.conf", "[program:other]\ncommand=sleep 1000\n", 0o604)
        host.configure(text=TOML.replace('mode = "embedded"', EXISTING))
        host.root(f"{host.python} -m supervisor.supervisord -c /etc/other/supervisord.conf")
    host.write("/var/log/other.log", "of another program\n", 0o640)
    text = host.path(CONFIGURATION).read_text()
    before = written(host)
    for turn, words in enumerate(LIFE):
        host.write(CONFIGURATION, f"{text}\n[environment]\nTURN = '{turn}'\n")
        host.procman(words)
    section = next(path for path in host.changed() if path.endswith("catmaid-one.conf"))
    host.root(f"echo '; by hand' >> {section}; touch /etc/procman/catmaid/catmaid-two.sh")
    with host.start(f"exec procman --config {CONFIGURATION} install --no-check") as killed:
        for pid in host.pids("procman-under-test.py"):
            host.run(f"kill -9 {pid}", "root", check=False)
        killed.communicate(timeout=120)
    if backend == "embedded":
        host.root("kill -9 $(cat /var/lib/procman/supervisor/supervisord.pid)")
        host.procman("start one")
    host.procman("install")
    listed = host.procman("uninstall").stdout
    assert "/var/lib/procman/catmaid/generations" in listed
    assert "/var/lib/procman/catmaid/set-aside" in listed
    assert "/var/log/catmaid" in listed
    host.procman("uninstall --purge")
    host.write(CONFIGURATION, text)
    after = written(host)
    other = ("/etc/other/supervisord.", "/var/log/other")
    assert {path for path in after.keys() ^ before.keys() if not path.startswith(other)} == set()
    assert [path for path in before if after[path] != before[path] and not path.endswith(".log")] == []


EXISTING = """configuration = "/etc/other/supervisord.conf"
include = "/etc/other/conf.d/*.conf"
"""

OTHER = """[supervisord]
user=root
logfile=/etc/other/supervisord.log
pidfile=/etc/other/supervisord.pid
[unix_http_server]
file=/etc/other/supervisord.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix:///etc/other/supervisord.sock
[include]
files=conf.d/*.conf
"""
