"""S3 under attack: files planted by the service user, and directories that a careless administrator gave to it."""

from __future__ import annotations

import re

import pytest

from tests.attacks.host import SERVICE, AttackedHost

RUN, DATA = "/var/lib/procman/catmaid/run/catmaid-one", "/var/lib/catmaid"

OWN = ("lock", "heartbeat.json", "heartbeat.json.new", "events.jsonl", "events.jsonl.1", "other")
"""The files that procman reads in a program's own directory."""

SCHEDULE = ("celerybeat-schedule", "celerybeat-schedule.db", "celerybeat-schedule.dat")

EVERYWHERE = " ".join(
    [*(f"{RUN}/{name}" for name in OWN), *(f"{DATA}/{name}" for name in SCHEDULE), "/opt/catmaid/procman.toml"]
)

PLANTED = {
    "links to a file of root": f"for path in {EVERYWHERE}; do ln -sf /etc/canary $path; done",
    "links to a directory of root": f"for path in {EVERYWHERE}; do rm -f $path; ln -s /etc/canary.d $path; done",
    "dangling links": f"for path in {EVERYWHERE}; do ln -sf /etc/planted $path; done",
    "links to an endless file": f"for path in {EVERYWHERE}; do ln -sf /dev/zero $path; done",
    "pipes": f"for path in {EVERYWHERE}; do rm -f $path; mkfifo $path; done",
    "directories": f"for path in {EVERYWHERE}; do rm -f $path; mkdir $path; done",
    "huge files": f"for path in {EVERYWHERE}; do truncate -s 128M $path; done",
    "unreadable files": f"for path in {EVERYWHERE}; do echo x > $path; chmod 0 $path; done; chmod 0 {RUN} {DATA}",
    "deep and wide directories": f"cd {RUN} && mkdir -p $(seq -s/ 40) && touch $(seq 200) && ln -s /etc/canary.d 1/d",
    "names in the temporary directory": "cd /tmp && for i in $(seq 50); do ln -s /etc/canary procman-$i; done",
}
"""What the service user does to an installed project, in directories of its own."""

GIVEN_AWAY = {
    "logs": ("/var/log/catmaid", "chown celery"),
    "logs to the group": ("/var/log/catmaid", "chown root:celery /var/log/catmaid && chmod 775"),
    "logs to everyone": ("/var/log/catmaid", "chmod 1777"),
    "state": ("/var/lib/procman", "chown celery"),
    "state to everyone": ("/var/lib/procman", "chmod 777"),
    "state of the project": ("/var/lib/procman/catmaid", "chown celery"),
    "state of the project to the group": ("/var/lib/procman/catmaid", "chmod 770"),
    "generations": ("/var/lib/procman/catmaid/generations", "chown celery"),
    "backups": ("/var/lib/procman/catmaid/set-aside", "chown celery"),
    "directory above the programs' own": ("/var/lib/procman/catmaid/run", "chown celery"),
    "directory of supervisord's socket and log": ("/var/lib/procman/supervisor", "chown celery"),
    "configuration": ("/etc/procman", "chown celery"),
    "start scripts": ("/etc/procman/catmaid", "chown celery"),
    "sections": ("/etc/procman/supervisor/conf.d", "chown celery"),
    "sections to everyone": ("/etc/procman/supervisor/conf.d", "chmod 777"),
    "launcher": ("/usr/local/lib/procman/catmaid", "chown celery"),
    "directory of procman.toml": ("/etc/catmaid", "chown celery"),
    "procman.toml": ("/etc/catmaid", "chown celery /etc/catmaid/procman.toml; true"),
}
"""What a careless administrator gives to the service user before the first install."""

LEFT_BEHIND = {
    "a log that is a link": "ln -s /etc/canary /var/log/catmaid/catmaid-one.log",
    "a log that is a link to nothing": "ln -s /etc/planted /var/log/catmaid/catmaid-one.log",
    "a log that is a pipe": "mkfifo /var/log/catmaid/catmaid-one.log",
}
"""What the service user left in the log directory before root got it back."""

SWAPPING = f"""
import os
run, n = {RUN!r}, 0
targets = ["/etc/canary", "/etc/canary.d", "/etc/planted", "/dev/zero"]
while True:
    for name in ("lock", "heartbeat.json", "heartbeat.json.new", "events.jsonl", "celerybeat-schedule"):
        for place in (run, {DATA!r}, "/opt/catmaid"):
            n += 1
            try:
                os.symlink(targets[n % len(targets)], place + "/.swap")
                os.rename(place + "/.swap", place + "/" + name)
                os.unlink(place + "/" + name)
                os.mkdir(place + "/deep")
                os.rename(place + "/deep", place + "/deeper")
                os.symlink("/etc/canary.d", place + "/deep")
                os.unlink(place + "/deep")
                os.rmdir(place + "/deeper")
            except OSError:
                pass
"""


def assert_nothing_planted(host: AttackedHost) -> None:
    """Check that root's files are unchanged, and that root created nothing where the service user's links point."""
    host.assert_untouched()
    changed = host.changed()
    assert "/etc/planted" not in changed
    ours = [path for path, (uid, _, _) in changed.items() if uid == 0 and path.startswith((f"{RUN}/", f"{DATA}/"))]
    assert ours == []


@pytest.mark.parametrize("planted", PLANTED.values(), ids=list(PLANTED))
def test_root_follows_nothing_planted_by_service_user(host: AttackedHost, planted: str) -> None:
    host.configure(rest="[beat]\nautostart = false\n")
    host.procman("install")
    host.procman("stop")
    host.service(planted)
    for _ in host.look():
        assert_nothing_planted(host)
    # A pipe in place of a program's lock prevents only that program from starting.
    for words in ("start two", "install", "uninstall --purge"):
        host.procman(words)
        assert_nothing_planted(host)
    assert not [path for path in host.changed() if path.startswith(("/var/lib/procman", "/etc/procman"))]


@pytest.mark.parametrize("given", GIVEN_AWAY.values(), ids=list(GIVEN_AWAY))
def test_install_refuses_directory_given_to_service_user(host: AttackedHost, given: tuple[str, str]) -> None:
    directory, how = given
    host.root(f"mkdir -p {directory} && {how} {directory}")
    before = host.changed()
    refused = host.procman("install", check=False)
    assert refused.returncode in (1, 2)
    assert "procman: " in refused.stderr
    assert re.search(r"\bch(own|mod) ", refused.stderr), "the message names no fix"
    assert not host.pids("supervisord")
    after = {path for path in host.changed() if path not in before}
    # Even an install that is refused takes the lock.
    lock = {"/var", "/var/lib", "/var/lib/procman", "/var/lib/procman/lock", "/var/lib/procman/directories.json"}
    assert after <= lock


@pytest.mark.parametrize("left", LEFT_BEHIND.values(), ids=list(LEFT_BEHIND))
def test_install_refuses_links_and_pipes_left_among_logs(host: AttackedHost, left: str) -> None:
    host.root("mkdir /var/log/catmaid && chown celery /var/log/catmaid")
    host.service(left)
    host.root("chown root /var/log/catmaid")
    refused = host.procman("install", check=False)
    assert refused.returncode == 1
    assert "rm /var/log/catmaid/catmaid-one.log" in refused.stderr
    assert_nothing_planted(host)
    host.root("rm -rf /var/log/catmaid/catmaid-one.log")
    host.procman("install")


def test_uninstall_completes_after_logs_were_given_away(host: AttackedHost) -> None:
    host.procman("install")
    host.root("chown celery /var/log/catmaid")
    host.service("rm -f /var/log/catmaid/* && ln -s /etc/canary /var/log/catmaid/catmaid-one.log")
    assert host.procman("install", check=False).returncode == 1
    host.procman("uninstall --purge")
    assert_nothing_planted(host)
    assert "/var/lib/procman" not in host.changed()


def test_hard_link_to_file_of_root_is_not_written_or_given_away(host: AttackedHost) -> None:
    host.procman("install")
    host.procman("stop")
    # A kernel without fs.protected_hardlinks allows this to every user.
    host.root(f"rm -f {RUN}/lock && ln /root/canary {RUN}/lock && ln /root/canary {RUN}/heartbeat.json")
    list(host.look())
    for words in ("start two", "install", "uninstall --purge"):
        host.procman(words)
        host.assert_untouched()


def test_root_follows_no_link_swapped_while_it_works(host: AttackedHost) -> None:
    host.write("/opt/racer.py", SWAPPING)
    for turn in range(2):
        host.configure(rest=f"[beat]\nautostart = false\n[environment]\nTURN = '{turn}'\n")
        host.procman("install")
        racer = host.start("exec nice python3 /opt/racer.py", SERVICE)
        try:
            host.configure(rest=f"[beat]\nautostart = false\n[environment]\nTURN = '{turn} again'\n")
            # A command may fail because of the race, with a message.
            for words in ("install", "stop", "uninstall --purge"):
                host.procman(words, check=False)
                host.procman("status", check=False)
                host.assert_untouched()
                assert "/etc/planted" not in host.changed()
            assert racer.poll() is None, "no link was swapped"
        finally:
            for pid in host.pids("racer.py"):
                host.run(f"kill -9 {pid}", "root", check=False)
            racer.communicate()
        host.procman("uninstall --purge", check=False)
    assert not [path for path in host.changed() if path.startswith("/etc/procman")]
