"""`python -m tests.prometheus.record`: record the metrics of real faults in tests/prometheus/recorded/.

Each file is the output of `procman health --format openmetrics` for real programs in one condition. Record again when a
metric or a check changes that the alert rules use.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.celery_environments import CELERY_REDIS, environment_of
from tests.needs import running
from tests.product import Product, eventually
from tests.redis_server import running_redis

RECORDED = Path(__file__).parent / "recorded"

PROGRAMS = """
[worker.crop]
queues = ["crop"]
concurrency = 1
[worker.mail]
queues = ["mail"]
concurrency = 1
[beat]
{command}
[health]
heartbeat_seconds = 1
stale_seconds = 3
stall_seconds = 5
"""

FAILING = """
[command.relay]
argv = ["sh", "-c", "echo cannot open the relay; exit 1"]
launcher = false
"""


@contextmanager
def shop(directory: Path, command: str = "") -> Iterator[Product]:
    environment = environment_of(CELERY_REDIS)
    assert environment is not None
    with running_redis(directory) as redis:
        product = Product(environment)
        try:
            product.environment["CELERY_BROKER_URL"] = redis.url()
            product.configure(PROGRAMS.format(command=command), environment=f'CELERY_BROKER_URL = "{redis.url()}"')
            product.procman("install")
            if not command:
                wait_until_healthy(product)
            yield product
        finally:
            product.close()


def record(product: Product, name: str, holds: Callable[[str], object] = bool, *options: str) -> None:
    """Write the metrics of `product` once they satisfy `holds`, without the paths of this machine."""
    found = ""

    def wanted() -> bool:
        nonlocal found
        found = product.procman("health", "--format", "openmetrics", *options, check=False).stdout
        return bool(holds(found))

    try:
        eventually(wanted, name)
    except AssertionError:
        sys.stderr.write(found)
        raise
    text = re.sub(re.escape(str(product.directory)), "/home/shop", found)
    RECORDED.mkdir(exist_ok=True)
    (RECORDED / f"{name}.prom").write_text(text)


def has_level(text: str, program: str, level: int) -> bool:
    return f'procman_program_level{{project="catmaid",program="{program}"}} {level}\n' in text


def of_processes(directory: Path) -> None:
    """Record what happens to processes."""
    with shop(directory) as product:
        record(product, "healthy")
        pid = product.status()["catmaid-crop"]["pid"]
        os.kill(pid, signal.SIGSTOP)
        record(product, "frozen worker", lambda text: has_level(text, "catmaid-crop", 2))
        os.kill(pid, signal.SIGCONT)
        wait_until_healthy(product)
        product.procman("stop", "mail")
        record(product, "stopped on purpose")
        os.kill(product.status()["catmaid-crop"]["pid"], signal.SIGKILL)
        record(product, "killed worker", lambda text: has_level(text, "catmaid-crop", 1) and 'code="PM111"} 1' in text)
        product.procman("start", "mail")
        os.kill(product.supervisord_pid(), signal.SIGKILL)
        record(product, "dead supervisord", lambda text: 'code="PM113"} 2' in text)


def of_a_crash_loop(directory: Path) -> None:
    """Record a command that fails whenever it starts."""
    with shop(directory, FAILING) as product:
        record(product, "crash loop", lambda text: re.search(r'restarts{[^}]*relay"} [3-9]', text))


def of_the_broker(directory: Path) -> None:
    """Record what happens to queues and the broker."""
    with shop(directory) as product:
        product.procman("stop", "mail")
        product.send("echo", 1, queue="mail", times=3)
        record(product, "queue without a worker", lambda text: re.search(r'code="PM505"} [12]', text), "--probe")
        product.procman("start", "mail")
        wait_until_healthy(product)
        redis_of(product).kill()
        record(product, "broker down", lambda text: 'broker_up{project="catmaid"} 0' in text)


def wait_until_healthy(product: Product) -> None:
    eventually(lambda: not product.procman("health", check=False).returncode, "all are healthy")


def main() -> None:
    """Record every fault."""
    running.clear()
    for faults in (of_the_broker, of_a_crash_loop, of_processes):
        with tempfile.TemporaryDirectory() as directory:
            faults(Path(directory))


def redis_of(product: Product) -> psutil.Process:
    """Return the Redis that `product` uses."""
    port = re.search(r"127.0.0.1:(\d+)", product.configuration.read_text())
    assert port
    return next(each for each in psutil.process_iter() if f"127.0.0.1:{port[1]}" in " ".join(each.cmdline()[:2]))


if __name__ == "__main__":
    main()
