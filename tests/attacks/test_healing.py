"""S3, R10: whatever a program writes, and whichever of its files hangs, the other programs are checked and healed."""

from __future__ import annotations

import json

import pytest

from tests.attacks.host import REPOSITORY, AttackedHost
from tests.product import eventually

pytestmark = pytest.mark.supervisord

RUN = "/var/lib/procman/catmaid/run/catmaid-crop"

HEALED = {
    "400 digits": "1" + "0" * 399,
    "4000 digits": "1" * 4000,
    "5000 digits": "1" * 5000,
    "NaN": "NaN",
    "1e999": "1e999",
    "-1": "-1",
    "text": '"now"',
}
"""The times of a restart that a program claims."""

BIG = """
[worker.crop]
pool = "prefork"
autostart = false

[command.big]
argv = ["python3", "-c", "import time; x = bytearray(64 << 20); time.sleep(1000)"]
memory_restart_mib = 16

[health]
failures = 1
interval_seconds = 2
restarts_per_hour = 50
"""

HEALS = "catmaid-big healing"


def claim(host: AttackedHost, at: str) -> None:
    """Write, as the worker would, that it restarted itself at `at`."""
    boot = host.root("cat /proc/sys/kernel/random/boot_id").strip()
    host.write("/opt/healed.json", f'{{"format": 1, "restarts": [{{"boot_id": "{boot}", "at": {at}}}]}}')
    host.service(f"cp /opt/healed.json {RUN}/healed.json")


def test_no_record_of_restarts_ends_healing(host: AttackedHost) -> None:
    host.configure(rest=BIG)
    host.procman("install")
    done = ""
    for at in HEALED.values():
        claim(host, at)
        done += host.procman("heal").stdout
    assert HEALS in done


def test_watcher_survives_a_record_that_cannot_be_read(host: AttackedHost) -> None:
    host.configure(
        rest=f'{BIG}procman = "/usr/local/bin/procman"\n'.replace("memory_re", "autostart = false\nmemory_re")
    )
    host.procman("install")
    claim(host, HEALED["400 digits"])
    host.procman("start big")
    eventually(lambda: " healing " in host.procman("events big").stdout, "the watcher heals the big program")
    assert "RUNNING" in host.procman("status health").stdout


HANG = """
import ctypes, os, sys, time
# No one answers for this file system, as for one whose server is gone.
options = "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other" % os.open("/dev/fuse", os.O_RDWR)
assert ctypes.CDLL(None).mount(b"hangs", sys.argv[1].encode(), b"fuse", 0, options.encode()) == 0
print("mounted", flush=True)
time.sleep(600)
"""

EXAMINE = """
import json, os, pathlib, sys, threading
sys.path.insert(0, sys.argv[1])
from procman.lookup import installed_at
from procman.monitoring.examine_in_time import Limits, examine_in_time
hanging = {}
for _ in range(2):
    health = examine_in_time(installed_at(pathlib.Path("/var/lib/procman/catmaid")), hanging, Limits(2, 2))
    programs = [(each.program.name, each.worst.code, each.worst.level.name) for each in health.programs]
    project = [(each.code, each.level.name) for each in health.results]
    print(json.dumps([programs, project, sorted(hanging), threading.active_count()]), flush=True)
os._exit(0)
"""


def test_program_whose_disk_hangs_is_unknown_and_the_others_are_examined(host: AttackedHost) -> None:
    host.root("mkdir -p /srv/dead && chown celery /srv/dead")
    host.configure(rest=f'{BIG}[beat]\nautostart = false\nschedule_file = "/srv/dead/celerybeat-schedule"\n')
    host.procman("install")
    host.write("/opt/hang.py", HANG)
    host.root("python3 /opt/hang.py /srv/dead </dev/null >/run/hang 2>&1 &")
    eventually(lambda: "mounted" in host.path("/run/hang").read_text(), "it is mounted")
    host.write("/opt/examine.py", EXAMINE)
    for line in host.root(f"{host.python} -B /opt/examine.py {host.seen(REPOSITORY)}").splitlines():
        programs, project, hanging, threads = json.loads(line)
        assert ["catmaid-celery-beat", "PM101", "UNKNOWN"] in programs
        assert ["catmaid-big", "PM107", "CRITICAL"] in programs
        assert ["catmaid-one", "PM101", "OK"] in programs
        assert project == [["PM603", "UNKNOWN"]]
        assert hanging == ["", "*", "catmaid-celery-beat"]
        assert threads == 1 + len(hanging), "nothing that hangs is tried again"
