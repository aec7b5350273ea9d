"""Tasks that use every feature that a sandbox may block, and write the results to a file."""

import contextlib
import json
import multiprocessing
import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from celery import shared_task
from counting.tasks import append
from django.conf import settings
from django.db import connection


@shared_task
def everything(number, where):
    """Use each feature and write the results to the file `where` in the data directory."""
    found = {name: attempt() for name, attempt in ATTEMPTS.items()}
    Path(settings.DATA_DIRECTORY, where).write_text(json.dumps(found))
    append("finished", number)


@shared_task
def record(number, seconds):
    """Append `number` to the file `started`, and insert it into the database twice: now and after `seconds`."""
    append("started", number)
    for pause in (0, seconds):
        time.sleep(pause)
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO recorded VALUES (%s)", [number])
    append("finished", number)


@shared_task
def last(number):
    """Append `number` to the file `started`, and to `finished` once the data directory has the file `freed-NUMBER`."""
    append("started", number)
    while not Path(settings.DATA_DIRECTORY, f"freed-{number}").exists():
        time.sleep(0.1)
    append("finished", number)


def _try(attempt):
    def tried():
        try:
            return attempt()
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    return tried


@_try
def _numpy():
    import numpy

    matrix = numpy.arange(40_000, dtype=float).reshape(200, 200)
    return int((matrix @ matrix.T).trace() > 0)


@_try
def _subprocess():
    return subprocess.run(["nice", "-n", "5", "sh", "-c", "echo $((6*7))"], capture_output=True, text=True).stdout


@_try
def _name():
    return socket.gethostbyname("broker.example")


@_try
def _localhost():
    return sorted({entry[4][0] for entry in socket.getaddrinfo("localhost", 5672)})


@_try
def _temporary_file():
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"x")
        return str(Path(file.name).parent)


@_try
def _semaphore():
    semaphore = multiprocessing.get_context("fork").Semaphore(1)
    return int(semaphore.acquire(timeout=1))


@_try
def _nice():
    return os.nice(3) >= 3


@_try
def _psutil():
    import psutil

    process = psutil.Process()
    return process.memory_info().rss > 0 and psutil.virtual_memory().total > 0 and psutil.cpu_count() > 0


@_try
def _write_elsewhere():
    for path in map(Path, ("/opt/catmaid/x", "/etc/x", "/var/lib/procman/x", "/home/x")):
        try:
            path.touch()
            return str(path)
        except OSError:
            continue
    return "nowhere"


@_try
def _processes():
    owners = []
    for path in Path("/proc").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it has ended since
            owners += [path.stat().st_uid] if path.name.isdigit() else []
    return len([owner for owner in owners if owner != os.getuid()])


@_try
def _secret():
    return "s3cret" in os.environ.get("CELERY_BROKER_URL", "")


ATTEMPTS = {
    "numpy": _numpy,
    "subprocess": _subprocess,
    "name": _name,
    "localhost": _localhost,
    "temporary file": _temporary_file,
    "semaphore": _semaphore,
    "nice": _nice,
    "psutil": _psutil,
    "writes elsewhere": _write_elsewhere,
    "processes of others": _processes,
    "secret": _secret,
}
