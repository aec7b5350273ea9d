"""`procman health` on a real worker and beat: 0 while they work, 2 with the cause when they do not.

Healing is off here, so that the faults last. tests/faults tests healing.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.celery_environments import CELERY_5_7, environment_of
from tests.product import Product, eventually

# In one group with tests/faults, which also starts a beat of the same project: each would find the beat of the other.
pytestmark = [pytest.mark.supervisord, pytest.mark.celery, pytest.mark.xdist_group("faults")]

STALL_SECONDS = 3

PROGRAMS = f"""
[worker.celery]
concurrency = 1
# Of its own, so that the second worker with this name disturbs no install of another test.
hostname = "faulty@%h"
[beat]
[health]
heal = false
heartbeat_seconds = 1
stale_seconds = 4
stall_seconds = {STALL_SECONDS}
"""

WORKER, BEAT = "catmaid-celery", "catmaid-celery-beat"


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    """A worker that consumes and a beat that ticks, for all tests of this module in order."""
    environment = environment_of(CELERY_5_7)
    assert environment
    product = Product(environment)
    try:
        product.configure(PROGRAMS)
        product.procman("install", "--wait", "60")
        yield product
    finally:
        product.close()


def health(product: Product, *names: str) -> dict[str, Any]:
    done = product.procman("health", "--json", *names, check=False)
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == found["exit_status"]
    return found


def result(product: Product, name: str, code: str) -> dict[str, Any] | None:
    [program] = health(product, name)["programs"]
    return next((each for each in program["results"] if each["code"] == code), None)


def run_directory(product: Product, name: str) -> Path:
    return product.directory / "s/procman/catmaid/run" / name


def test_install_waits_until_the_worker_consumes_and_beat_ticks(product: Product) -> None:
    found = health(product)
    assert [each["phase"] for each in found["programs"]] == ["consuming", "ticking"]


def test_healthy_worker_and_beat_exit_with_0_in_every_format(product: Product) -> None:
    nagios = product.procman("health", "--format", "nagios").stdout
    assert nagios.startswith("CATMAID OK - 2 of 2 running | 'catmaid-celery.children'=1;;;0 ")
    assert nagios.count("\n") == 1
    assert product.procman("health").stdout.endswith("\nno problems found\n")
    document = product.procman("health", "--format", "openmetrics").stdout
    levels = [each for family in text_string_to_metric_families(document) for each in family.samples]
    assert {each.value for each in levels if each.name.endswith("_level")} == {0}


def test_output_file_is_replaced_atomically_for_the_textfile_collector(product: Product) -> None:
    target = product.directory / "catmaid.prom"
    target.write_text("old")
    before = target.stat().st_ino
    done = product.procman("health", "--format", "openmetrics", "--output", str(target))
    assert (done.stdout, target.stat().st_mode & 0o777) == ("", 0o644)
    assert target.stat().st_ino != before
    assert list(text_string_to_metric_families(target.read_text()))


def test_status_shows_the_verdict(product: Product) -> None:
    found = product.status()
    assert {name: each["health"]["code"] for name, each in found.items()} == {WORKER: "PM200", BEAT: "PM200"}
    assert found[WORKER]["health"]["detail"] == "it is consuming; 0 of 1 slot is busy"


def test_hostile_heartbeat_is_reported_and_does_not_block(product: Product) -> None:
    path = run_directory(product, WORKER) / "heartbeat.json"
    beside = path.with_name("beside")
    # A directory of this name keeps the worker from replacing the file before health has read it.
    in_the_way = path.with_name("heartbeat.json.new")
    eventually(lambda: is_made(in_the_way), "the worker is between two heartbeats")

    def is_reported(make: Any, words: str) -> bool:
        make()
        beside.rename(path)
        found = result(product, WORKER, "PM205")
        return found is not None and found["level"] == "WARNING" and words in found["detail"]

    eventually(lambda: is_reported(lambda: os.mkfifo(beside), "not a regular file"), "a pipe is reported")
    eventually(lambda: is_reported(lambda: beside.symlink_to("/etc/passwd"), "cannot be read"), "a link is reported")
    eventually(
        lambda: is_reported(lambda: beside.write_text('{"format": 1'), "is corrupt"), "an invalid file is reported"
    )
    in_the_way.rmdir()
    eventually(lambda: health(product)["level"] == "OK", "the worker has replaced the file")


def is_made(directory: Path) -> bool:
    try:
        directory.mkdir()
    except FileExistsError:
        return False
    return True


def test_second_beat_started_by_hand_is_reported_with_both_pids_and_not_ended(product: Product) -> None:
    schedule = product.directory / "second-schedule"
    with product.celery("beat", "--pidfile=", "-s", str(schedule)) as second:
        try:
            eventually(lambda: result(product, BEAT, "PM110") is not None, "it is found")
            found = result(product, BEAT, "PM110")
            assert found
            assert found["level"] == "CRITICAL"
            assert str(second.pid) in found["detail"]
            assert str(product.status()[BEAT]["pid"]) in found["detail"]
            assert second.poll() is None
        finally:
            second.kill()


def test_second_worker_with_the_node_name_of_ours_is_reported_and_not_ended(product: Product) -> None:
    with product.celery("worker", "-c", "1", "--hostname=faulty@%h") as second:
        try:
            eventually(lambda: (result(product, WORKER, "PM114") or {}).get("level") == "CRITICAL", "it is found")
            found = result(product, WORKER, "PM114")
            assert found
            assert f"process {second.pid} is another worker with the node name faulty@" in found["detail"]
            assert f"beside process {product.status()[WORKER]['pid']}: if it uses the same broker" in found["detail"]
            assert second.poll() is None
        finally:
            second.kill()


def test_worker_that_does_not_consume_exits_with_2_and_the_cause(product: Product) -> None:
    with product.celery("control", "cancel_consumer", "celery") as ordered:
        assert ordered.wait(120) == 0
    product.send("echo", 1, times=10)
    eventually(lambda: result(product, WORKER, "PM301") is not None, "messages have waited too long")
    nagios = product.procman("health", "--format", "nagios", check=False)
    assert nagios.returncode == 2
    assert nagios.stdout.startswith("CATMAID CRITICAL - catmaid-celery: messages have been waiting for ")
    assert "(10 in celery), but it has a free slot and consumes nothing (PM301)" in nagios.stdout
    text = product.procman("health", check=False)
    assert text.returncode == 2
    assert "  procman restart catmaid-celery" in text.stdout
    assert product.status()[WORKER]["health"]["code"] == "PM301"
    # Beat is still healthy.
    assert health(product, BEAT)["level"] == "OK"


def test_frozen_worker_is_distinguished_from_one_that_does_not_consume(product: Product) -> None:
    pid = product.status()[WORKER]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        eventually(lambda: result(product, WORKER, "PM201") is not None, "its heartbeat is stale")
        assert health(product)["exit_status"] == 2
    finally:
        os.kill(pid, signal.SIGCONT)


def test_stopped_program_is_ok(product: Product) -> None:
    product.procman("stop", WORKER)
    found = health(product, WORKER)
    assert (found["level"], found["programs"][0]["state"]) == ("OK", "STOPPED")
    assert product.procman("health").stdout.splitlines()[1].split()[:2] == [WORKER, "-"]


def test_r10_health_is_unknown_and_ends_in_time_with_a_frozen_supervisord(product: Product) -> None:
    pid = product.supervisord_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        # Without a timeout of its own, that of this test would expire.
        done = product.procman("health", "--format", "nagios", check=False, timeout=120)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert done.returncode == 3
    assert done.stdout.startswith("CATMAID UNKNOWN - ")
