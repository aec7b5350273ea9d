"""S3: root writes where no other user can, and the project's code runs as the service user; see tests/attacks."""

from __future__ import annotations

from tests.attacks.host import CONFIGURATION, SERVICE, USERS, AttackedHost
from tests.product import eventually


def test_programs_run_as_the_service_user(host: AttackedHost) -> None:
    host.procman("install --wait 30")
    foreground = host.start(f"exec procman --config {CONFIGURATION} run one")
    # `procman run` waits for the running program, as the service user, too.
    eventually(lambda: len(host.asleep()) == 2 and len(host.pids("launcher.py")) == 1, "all have started")
    pids = host.asleep() + host.pids("launcher.py")
    uid = USERS[SERVICE]
    for pid in pids:
        status = dict(line.split(":\t", 1) for line in host.path(f"/proc/{pid}/status").read_text().splitlines())
        assert status["Uid"].split() == [str(uid)] * 4
        assert status["Gid"].split() == [str(uid)] * 4
        assert status["Groups"].split() in ([], [str(uid)])
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    host.root(f"kill -9 {' '.join(map(str, pids))}")
    foreground.communicate(timeout=120)


def test_service_user_cannot_change_any_file_that_procman_writes(host: AttackedHost) -> None:
    before = host.changed()
    host.procman("install --wait 30")
    new = {path: found for path, found in host.changed().items() if path not in before}
    own = {path for path, (uid, _, _) in new.items() if uid == USERS[SERVICE] and not path.endswith("/lock")}
    assert own == {f"/var/lib/procman/catmaid/run/catmaid-{name}" for name in ("one", "two")}
    writable = [path for path, (_, mode, kind) in new.items() if mode & 0o022 and kind not in "ls"]
    assert writable == []
