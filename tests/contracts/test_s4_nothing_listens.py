"""S4: procman's own supervisord listens on a private socket and nowhere else; programs get their user's groups only."""

from __future__ import annotations

import stat
from contextlib import suppress

from tests.attacks.host import SERVICE, STRANGER, USERS, AttackedHost
from tests.product import eventually

PLACE = "/var/lib/procman/supervisor"

CONNECT = f"""
import socket
socket.socket(socket.AF_UNIX).connect("{PLACE}/supervisor.sock")
"""


def test_only_root_can_connect_to_the_socket(host: AttackedHost) -> None:
    host.procman("install")
    for path, kind in ((PLACE, stat.S_ISDIR), (f"{PLACE}/supervisor.sock", stat.S_ISSOCK)):
        status = host.path(path).lstat()
        assert kind(status.st_mode)
        assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o700, 0, 0)
    host.root(f"python3 -c '{CONNECT}'")
    for user in (SERVICE, STRANGER):
        refused = host.run(f"python3 -c '{CONNECT}'", user, check=False)
        assert "PermissionError" in refused.stderr
    assert host.procman("status").stdout.count("RUNNING") == 2


def test_nothing_listens_on_the_network(host: AttackedHost) -> None:
    host.procman("install --wait 30")
    eventually(lambda: len(host.asleep()) == 2, "the programs have started")
    listening = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in host.root(f"cat /proc/net/{table}").splitlines()[1:]:
            listening.add(f"socket:[{line.split()[9]}]")
    opened = set()
    processes = host.pids("supervisord") + host.asleep()
    assert len(processes) == 3
    for pid in processes:
        for entry in host.path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                opened.add(str(entry.readlink()))
    assert any(name.startswith("socket:") for name in opened)
    assert not listening & opened


def test_programs_have_the_groups_of_their_user(host: AttackedHost) -> None:
    host.root(f"echo extra:x:3000:{SERVICE} >> /etc/group")
    host.procman("install --wait 30")
    eventually(lambda: len(host.asleep()) == 2, "the programs have started")
    status = host.path(f"/proc/{host.asleep()[0]}/status").read_text()
    groups = next(line for line in status.splitlines() if line.startswith("Groups:")).split()[1:]
    assert set(groups) == {str(USERS[SERVICE]), "3000"}
    assert "Gid:\t" + "\t".join([str(USERS[SERVICE])] * 4) in status
