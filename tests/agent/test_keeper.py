"""The keeper of a worker that overlaps, on procman's own Python and on the oldest one, with simulated workers."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from procman.agent import keeper_request, slots
from tests.agent.conftest import Spawn
from tests.agent.keeping import Kept, kept
from tests.agent.launching import Installation, wait_until

NOTIFY = """
import os, socket, time
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
    words = [b"READY=1", b"MAINPID=1", b"STATUS=" + os.environ.get("NOTIFY_SOCKET", "works").encode(), b"WATCHDOG=1"]
    sender.sendto(b"\\n".join(words), "\\0" + os.environ["PROCMAN_NOTIFY_SOCKET"][1:])
time.sleep(600)
"""
LIMIT_KIB = 10 * 1024


@pytest.fixture
def crop(installation: Installation, spawn: Spawn) -> Kept:
    return kept(installation, spawn)


def started(crop: Kept) -> Kept:
    crop.start()
    crop.wait_for_slots(a="consuming")
    return crop


def test_signals_pass_through_and_the_exit_status_is_that_of_the_worker(crop: Kept) -> None:
    started(crop).send(signal.SIGUSR1)
    crop.keeper.wait_for("crop@%h SIGUSR1")
    crop.send(signal.SIGUSR2)
    crop.keeper.wait_for("crop@%h SIGUSR2")
    assert crop.keeper.end(signal.SIGTERM) == 0
    assert "crop@%h ended" in crop.text


def test_worker_that_exits_by_itself_ends_the_keeper_with_its_status(crop: Kept) -> None:
    started(crop).order("crop@%h-exits", "5")
    assert crop.keeper.end() == 5


def test_killed_worker_ends_the_keeper_by_the_same_signal(crop: Kept) -> None:
    os.kill(started(crop).pid_in("a"), signal.SIGKILL)
    assert crop.keeper.end() == -signal.SIGKILL


def ends(crop: Kept) -> list[tuple[int, str, bool]]:
    """Return the pid, cause and finality of each end that the keepers have noted."""
    return [(each["pid"], each["how"], each["is_last"]) for each in crop.state()["ends"]]


def test_ends_that_no_order_caused_are_noted_and_survive_the_keeper(crop: Kept) -> None:
    first = started(crop).pid_in("a")
    os.kill(first, signal.SIGKILL)
    assert crop.keeper.end() == -signal.SIGKILL
    assert ends(crop) == [(first, "killed by SIGKILL", True)]
    started(crop).order("crop@%h-works")
    crop.overlap()
    drainer, current = crop.pid_in("a"), crop.pid_in("b")
    os.kill(current, signal.SIGABRT)
    crop.keeper.wait_for("started", 3)
    os.kill(drainer, signal.SIGKILL)
    wait_until(lambda: len(ends(crop)) == 3, lambda: f"{ends(crop)}")
    noted = [(current, "killed by SIGABRT", False), (drainer, "killed by SIGKILL", False)]
    assert ends(crop)[1:] == noted
    assert crop.keeper.end(signal.SIGTERM) == 0
    assert ends(crop)[1:] == noted


def test_earlier_process_drains_once_its_successor_consumes(crop: Kept) -> None:
    works = started(crop).order("crop@%h-works")
    crop.write_launch(environment={"CODE": "new"})
    assert crop.overlap() == ("done", "")
    crop.wait_for_slots(a="draining", b="consuming")
    assert "crop@%h started old" in crop.text
    assert "crop-b@%h started new" in crop.text
    crop.keeper.wait_for("crop@%h SIGTERM draining")
    assert crop.text.index("crop-b@%h started") < crop.text.index("crop@%h SIGTERM")
    works.unlink()
    crop.wait_for_slots(b="consuming")
    assert crop.overlap() == ("done", "")
    crop.wait_for_slots(a="consuming")
    assert crop.text.count("crop@%h started") == 2
    assert crop.keeper.end(signal.SIGTERM) == 0


def test_state_that_was_removed_comes_back(crop: Kept) -> None:
    state = started(crop).installation.run_directory / slots.STATE
    state.unlink()
    crop.wait_for_slots(a="consuming")


def test_mark_that_an_earlier_keeper_has_left_counts_for_no_other_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / slots.DRAINING).touch()
    monkeypatch.delenv(slots.KEEPER_PID, raising=False)
    assert not slots.is_to_drain(str(tmp_path))
    monkeypatch.setenv(slots.KEEPER_PID, str(os.getppid()))
    assert slots.is_to_drain(str(tmp_path))
    (tmp_path / slots.DRAINING).unlink()
    assert not slots.is_to_drain(str(tmp_path))
    monkeypatch.setenv(slots.KEEPER_PID, "1234567890")
    assert slots.is_to_drain(str(tmp_path))
    (tmp_path / slots.STOP).touch()
    assert not slots.is_to_drain(str(tmp_path))


def test_limit_of_an_earlier_stop_does_not_count_for_the_next_worker(crop: Kept) -> None:
    crop.installation.run_directory.mkdir(exist_ok=True)
    (crop.installation.run_directory / slots.STOP).touch()
    assert not (started(crop).installation.run_directory / slots.STOP).exists()


def test_further_overlap_is_refused_while_as_many_drain_as_may(crop: Kept) -> None:
    crop.write_launch(overlap_max=1)
    started(crop).order("crop@%h-works")
    assert crop.overlap()[0] == "done"
    assert crop.overlap() == ("refused", "1 earlier process is draining (slot a)")
    crop.wait_for_slots(a="draining", b="consuming")
    assert "crop-b@%h SIGTERM" not in crop.text


def test_successor_that_does_not_become_healthy_is_stopped_and_the_worker_stays(crop: Kept) -> None:
    crop.write_launch(overlap_seconds=0.3)
    started(crop).order("broken")
    outcome, reason = crop.overlap()
    assert outcome == "failed"
    assert "did not become healthy within 0.3 s" in reason
    crop.wait_for_slots(a="consuming")
    assert "crop@%h SIGTERM" not in crop.text


def test_successor_that_exits_is_reported_and_the_worker_stays(crop: Kept) -> None:
    started(crop).order("crop-b@%h-exits", "1")
    outcome, reason = crop.overlap()
    assert outcome == "failed"
    assert "ended (exit status 1) before it was healthy" in reason
    crop.wait_for_slots(a="consuming")
    assert ends(crop) == []


def test_each_overlap_is_one_event_and_a_failure_stays_in_the_state_until_one_succeeds(crop: Kept) -> None:
    crop.write_launch(overlap_max=1)
    exits = started(crop).order("crop-b@%h-exits", "1")
    crop.overlap()
    failed = crop.state()["overlap_failed"]
    assert failed["outcome"] == "failed"
    assert "ended (exit status 1)" in failed["reason"]
    exits.unlink()
    crop.order("crop@%h-works")
    crop.overlap()
    assert crop.state()["overlap_failed"] is None
    crop.overlap()
    assert crop.state()["overlap_failed"]["outcome"] == "refused"
    lines = (crop.installation.run_directory / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["what"] for event in events] == ["overlap failed", "overlapped", "overlap failed"]
    assert events[0]["reason"] == failed["reason"]
    assert events[2]["reason"] == "refused: 1 earlier process is draining (slot a)"
    assert {(event["program"], event["by"]) for event in events} == {("catmaid-celery", "inside")}
    assert [events[0]["at"], events[2]["at"]] == [failed["at"], crop.state()["overlap"]["at"]]


def with_constant(crop: Kept, name: str, value: str) -> Kept:
    """Let the keeper have another value of one of its constants."""
    script = crop.installation.launcher.with_name("keeper.py")
    text, number = re.subn(f"(?m)^{name} = .*", f"{name} = {value}", script.read_text())
    assert number == 1
    script.write_text(text)
    return crop


def test_worker_that_has_run_for_long_is_started_again_at_once(crop: Kept) -> None:
    crop.write_launch(restart_seconds=600)
    started(with_constant(crop, "PROVEN_SECONDS", "0")).order("crop@%h-works")
    crop.overlap()
    os.kill(crop.pid_in("b"), signal.SIGKILL)
    crop.keeper.wait_for("crop-b@%h started", 2)
    assert "starting it again in 0 s" in crop.text


def test_idle_keeper_shows_that_it_is_alive(crop: Kept) -> None:
    before = started(with_constant(crop, "REPORT_SECONDS", "0.1")).state()["written"]
    wait_until(lambda: crop.state()["written"] > before + 1, lambda: f"{crop.state()}")


def test_unusable_launch_file_starts_nothing(crop: Kept) -> None:
    started(crop).launch_file.write_text("{")
    outcome, reason = crop.overlap()
    assert outcome == "failed"
    assert str(crop.launch_file) in reason
    crop.wait_for_slots(a="consuming")


def blocked(crop: Kept, slot: str, name: str) -> Path:
    """Put a directory in the place of a file in the run directory of a slot; return that directory."""
    directory = Path(slots.directory_of(str(crop.installation.run_directory), slot))
    (directory / name).mkdir(parents=True)
    return directory


def test_overlap_without_a_usable_slot_fails_with_the_reason_and_not_as_if_they_were_taken(crop: Kept) -> None:
    started(crop)
    blocked(crop, "b", "lock")
    directory = blocked(crop, "c", "lock")
    assert crop.overlap() == ("failed", f"cannot use {directory}: Is a directory")
    crop.wait_for_slots(a="consuming")


def test_successor_that_could_write_no_heartbeat_is_not_started(crop: Kept) -> None:
    started(crop)
    directory = blocked(crop, "b", f"{slots.PROBE}.new")
    assert crop.overlap() == ("failed", f"cannot write to {directory}: Is a directory")
    assert crop.text.count("started") == 1


def test_keeper_that_cannot_open_its_lock_exits_with_one_line(crop: Kept) -> None:
    path = blocked(crop, "a", "keeper.lock") / "keeper.lock"
    crop.start()
    assert crop.keeper.end() == 78
    [line] = crop.text.splitlines()
    assert f"cannot open the lock {path}: Is a directory; make its directory writable for uid {os.geteuid()}" in line


def test_keeper_reports_a_slot_that_it_cannot_use_and_starts_in_it_later(crop: Kept) -> None:
    directories = [blocked(crop, slot, "lock") for slot in crop.launch["node_names"]]
    crop.start()
    crop.keeper.wait_for(f"cannot use {directories[-1]}: Is a directory")
    (directories[0] / "lock").rmdir()
    crop.wait_for_slots(a="consuming")


def test_request_is_refused_where_no_keeper_could_answer(crop: Kept) -> None:
    directory = blocked(crop, "a", keeper_request.PROBE)
    script = crop.installation.launcher.with_name("keeper_request.py")
    done = subprocess.run(
        [str(crop.installation.python), "-I", "-S", "-B", str(script)],
        env={"MAINPID": str(os.getpid()), "PROCMAN_RUN_DIRECTORY": str(directory)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"overlap restart not ordered: cannot write to {directory}: Is a directory\n"


def test_second_order_during_an_overlap_is_carried_out_after_it(crop: Kept) -> None:
    broken = started(crop).order("broken")
    crop.send(signal.SIGHUP)
    crop.wait_for_slots(a="consuming", b="starting")
    crop.send(signal.SIGHUP)
    broken.unlink()
    wait_until(lambda: crop.state()["overlap"]["number"] == 2, lambda: f"two overlaps in:\n{crop.text}")
    wait_until(lambda: "consuming" in crop.slots().values() and len(crop.slots()) == 1, lambda: crop.text)


def test_stop_in_the_middle_of_an_overlap_stops_every_process(crop: Kept) -> None:
    started(crop).order("broken")
    crop.send(signal.SIGHUP)
    crop.keeper.wait_for("crop-b@%h started")
    crop.wait_for_slots(a="consuming", b="starting")
    assert crop.keeper.end(signal.SIGTERM) == 0
    assert "crop@%h ended" in crop.text
    assert "crop-b@%h ended" in crop.text
    assert crop.state()["overlap"]["reason"] == "the program is being stopped"


def test_stop_reaches_those_that_drain_without_their_mark(crop: Kept) -> None:
    works = started(crop).order("crop@%h-works")
    crop.overlap()
    crop.keeper.wait_for("crop@%h SIGTERM draining")
    crop.send(signal.SIGTERM)
    crop.keeper.wait_for("crop-b@%h ended")
    wait_until(lambda: crop.text.count("crop@%h SIGTERM") == 2, lambda: crop.text)
    assert crop.text.count("crop@%h SIGTERM draining") == 1
    works.unlink()
    assert crop.keeper.end() == 0


def test_stop_of_those_that_drain_leaves_the_worker_and_kills_what_remains(
    installation: Installation, spawn: Spawn
) -> None:
    crop = kept(installation, spawn, "child")
    crop.write_launch(stop_timeout_seconds=0.3)
    started(crop).order("crop@%h-works")
    crop.overlap()
    crop.keeper.wait_for("crop@%h SIGTERM draining")
    child = int(next(line.split()[-1] for line in crop.text.splitlines() if line.startswith("crop@%h started")))
    crop.send(signal.SIGRTMIN)
    crop.wait_for_slots(b="consuming")
    assert "did not stop within its stop timeout and is killed" in crop.text
    assert [each["is_forced"] for each in crop.state()["ends"]] == [True]
    wait_until(lambda: not Path(f"/proc/{child}").exists() or _is_zombie(child), lambda: f"the end of {child}")


def test_worker_that_ends_while_another_drains_is_started_again(crop: Kept) -> None:
    started(crop).order("crop@%h-works")
    crop.overlap()
    os.kill(crop.pid_in("b"), signal.SIGKILL)
    crop.keeper.wait_for("started", 3)
    wait_until(lambda: sorted(crop.slots().values()) == ["consuming", "draining"], lambda: crop.text)
    assert "ended (killed by SIGKILL); starting it again" in crop.text


def test_second_keeper_waits_and_one_after_a_kill_uses_a_free_slot(crop: Kept) -> None:
    first = started(crop)
    keeper, pid = first.keeper, first.pid_in("a")
    crop.start()
    crop.keeper.wait_for("waiting for an earlier process of the same program to exit")
    keeper.end(signal.SIGKILL)
    # The simulated worker does not ask the kernel for a signal, as the launcher does.
    crop.wait_for_slots(b="consuming")
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: "crop@%h ended" in keeper.text, lambda: keeper.text)


def test_keeper_that_still_drains_leaves_the_report_to_the_next_one(crop: Kept) -> None:
    works = started(crop).order("crop@%h-works")
    first = crop.keeper
    first.process.send_signal(signal.SIGTERM)
    first.wait_for("crop@%h SIGTERM")
    crop.start()
    crop.wait_for_slots(b="consuming")
    works.unlink()
    assert first.end() == 0
    assert crop.state()["pid"] == crop.keeper.process.pid


def test_keeper_stops_its_workers_if_its_process_manager_dies(crop: Kept) -> None:
    crop.start(PROCMAN_PARENT_PID="1")
    assert crop.keeper.end() == 0
    assert "its process manager has exited" in crop.text
    assert "crop@%h SIGTERM draining" in crop.text or "started" not in crop.text


def test_systemd_gets_the_word_of_the_worker_as_that_of_the_keeper(installation: Installation, spawn: Spawn) -> None:
    # Its STATUS is that no NOTIFY_SOCKET reaches the worker, whose pool processes would pass it on to what tasks run.
    crop = kept(installation, spawn)
    address = f"\0procman-test-{os.getpid()}"
    crop.launch["argv"] = [sys.executable, "-I", "-S", "-c", NOTIFY, None]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(60)
        systemd.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        crop.start(NOTIFY_SOCKET="@" + address[1:], WATCHDOG_USEC="600000000")
        found = b""
        while b"READY=1" not in found:
            found, ancillary, *_ = systemd.recvmsg(4096, 256)
            assert struct.unpack("3i", ancillary[0][2])[0] == crop.keeper.process.pid
    assert found == b"READY=1\nSTATUS=works\nWATCHDOG=1"


def test_watchdog_is_fed_during_a_stop_by_what_drains_alone(crop: Kept) -> None:
    address = f"\0procman-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(60)
        crop.start(NOTIFY_SOCKET="@" + address[1:], WATCHDOG_USEC="600000000")
        crop.wait_for_slots(a="consuming")
        works = crop.order("crop@%h-works")
        crop.overlap()
        crop.send(signal.SIGTERM)
        crop.keeper.wait_for("crop-b@%h ended")
        found = b""
        while b"stopping" not in found:
            found = systemd.recv(4096)
        works.unlink()
        assert crop.keeper.end() == 0
    assert found == b"WATCHDOG=1\nSTATUS=stopping; 1 draining"


def test_keeper_uses_less_than_ten_mebibytes_of_its_own(crop: Kept) -> None:
    started(crop).order("crop@%h-works")
    crop.overlap()
    lines = Path(f"/proc/{crop.keeper.process.pid}/smaps_rollup").read_text().splitlines()
    own = sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean", "Private_Dirty")))
    assert 0 < own < LIMIT_KIB


def test_keeper_without_a_launch_file_cannot_start(crop: Kept) -> None:
    script = crop.installation.launcher.with_name("keeper.py")
    words = [str(crop.installation.python), "-I", "-S", "-B", str(script), "/nonexistent"]
    done = subprocess.run(
        words, env=crop.installation.environment("worker"), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 78
    assert "cannot read /nonexistent: No such file or directory" in done.stderr


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
