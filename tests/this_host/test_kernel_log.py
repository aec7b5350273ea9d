"""Which processes the kernel killed for lack of memory, from lines as several kernels write them.

No test provokes such a kill: with cgroup v1, as on the hosts of these tests, and in a container it could hit others.
"""

from __future__ import annotations

import pytest

from procman.host.kernel_log import Line, MemoryKill, is_among, kills_in, memory_kills, read_record

NOON = 1_795_953_600.0
UNIT = "shop-celery.service"

LINUX_4 = """Out of memory: Kill process 2592 (celery) score 917 or sacrifice child
Killed process 2592 (celery) total-vm:4052692kB, anon-rss:3747316kB, file-rss:0kB, shmem-rss:0kB
oom_reaper: reaped process 2592 (celery), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB"""

LINUX_4_IN_A_CGROUP = """Task in /system.slice/shop-celery.service killed as a result of limit of /shop.slice
Memory cgroup out of memory: Kill process 2592 (celery) score 917 or sacrifice child
Killed process 2592 (celery) total-vm:4052692kB, anon-rss:3747316kB, file-rss:0kB, shmem-rss:0kB"""

LINUX_6 = """celery invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE|__GFP_COMP), order=0, oom_score_adj=0
[   2592]    33  2592  1013173   936829  7696384        0             0 celery
oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,\
task_memcg=/system.slice/shop-celery.service,task=celery,pid=2592,uid=33
Out of memory: Killed process 2592 (celery) total-vm:4052692kB, anon-rss:3747316kB, UID:33 pgtables:7516kB"""

LINUX_6_IN_A_CGROUP = """oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,\
oom_memcg=/system.slice/shop-celery.service,task_memcg=/system.slice/shop-celery.service,task=celery,pid=2592,uid=33
Memory cgroup out of memory: Killed process 2592 (celery) total-vm:4052692kB, anon-rss:3747316kB, UID:33"""


def lines(text: str, at: float = NOON) -> list[Line]:
    return [Line(at, line) for line in text.splitlines()]


@pytest.mark.parametrize("text", [LINUX_4, LINUX_4_IN_A_CGROUP, LINUX_6, LINUX_6_IN_A_CGROUP])
def test_kill_for_lack_of_memory_is_found_once(text: str) -> None:
    [kill] = kills_in(lines(text))
    assert (kill.at, kill.pid) == (NOON, 2592)
    assert is_among([kill], NOON + 0.3, 2592, None)
    assert not is_among([kill], NOON + 0.3, 2593, UNIT)
    # The process id may belong to another process by then.
    assert not is_among([kill], NOON + 900, 2592, None)


@pytest.mark.parametrize("text", [LINUX_6, LINUX_6_IN_A_CGROUP])
def test_kill_is_of_a_unit_by_its_cgroup_if_the_process_id_is_unknown(text: str) -> None:
    kills = kills_in(lines(text))
    assert is_among(kills, NOON, None, UNIT)
    assert not is_among(kills, NOON, None, "celery.service")
    assert not is_among(kills, NOON, None, None)


@pytest.mark.parametrize(
    "text",
    [
        "celery[2592]: segfault at 0 ip 00007f sp 00007f error 4 in libc.so",
        "audit: type=1701 comm=celery pid=2592 sig=9",
        "Killed by signal 9",
        "",
    ],
)
def test_other_lines_are_no_such_kill(text: str) -> None:
    assert kills_in(lines(text)) == []


def test_process_id_that_is_used_again_is_another_kill() -> None:
    found = kills_in([*lines(LINUX_4), *lines(LINUX_4, NOON + 900)])
    assert found == [MemoryKill(NOON + 900, 2592)]


def test_record_of_the_device_has_the_time_since_the_boot() -> None:
    record = b"3,1234,5678901,-;Killed process 7 (celery)\n SUBSYSTEM=cgroup\n DEVICE=x\n"
    assert read_record(record, NOON) == Line(NOON + 5.678901, "Killed process 7 (celery)")


@pytest.mark.parametrize("record", [b"", b"3,1,x,-;text\n", b"no semicolon", b"3;text"])
def test_damaged_record_is_left_out(record: bytes) -> None:
    assert read_record(record, NOON) is None


def test_log_of_this_host_is_read_or_counts_as_empty() -> None:
    assert isinstance(memory_kills(0.0), list)
