"""The app of the trials: each run of a task stamps a file of its own every 50 ms until it ends.

It knows nothing of procman, and procman nothing of its files.
"""

import json
import os
import threading
import time
import uuid
from pathlib import Path

from celery import Celery, signals
from celery.app import trace
from celery.backends.base import Backend
from kombu import Queue

DATA = Path(os.environ["TRIAL_DATA"])
WORKER = os.environ.get("TRIAL_WORKER", "")
TAKERS_SECONDS = 0.3
"""How long a task takes that another worker takes over."""

# On a booted host the URLs are in the environment file of the project, and a worker has only the name of one.
BROKER = os.environ.get("TRIAL_BROKER") or os.environ["TRIAL_" + os.environ["TRIAL_BROKER_NAME"].upper()]

app = Celery("trials", broker=BROKER)
app.conf.update(
    broker_connection_retry_on_startup=True,
    task_acks_late=bool(os.environ.get("TRIAL_LATE")),
    task_ignore_result=not os.environ.get("TRIAL_RESULTS"),
    task_reject_on_worker_lost=bool(os.environ.get("TRIAL_REJECT")),
    task_retry_on_worker_lost=bool(os.environ.get("TRIAL_RETRY")),
    result_backend=os.environ.get("TRIAL_RESULTS") or None,
    broker_transport_options={"visibility_timeout": float(os.environ["TRIAL_VISIBILITY"])}
    if os.environ.get("TRIAL_VISIBILITY")
    else {},
    task_queues=[
        Queue(name, queue_arguments={"x-queue-type": "quorum"} if "quorum" in name else {})
        for name in os.environ.get("TRIAL_QUEUES", "").split()
    ]
    or None,
)


def append(path, line):
    """Append a line in one write, which O_APPEND keeps whole even if several processes do it at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(str(path), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(file, (line + "\n").encode())
    finally:
        os.close(file)


def run(task_id, seconds, has_ended=lambda: False):
    """Stamp a file of this run until `seconds` have passed or `has_ended`, then write `end`."""
    began = time.monotonic()
    path = DATA / "runs" / task_id / f"{WORKER},{os.getpid()},{began:.6f}"
    while time.monotonic() < began + seconds and not has_ended():
        append(path, f"{time.monotonic():.6f}")
        time.sleep(min(0.05, seconds))
    append(path, f"{time.monotonic():.6f}")
    append(path, "end")


@app.task(name="trials.hold", bind=True)
def hold(self, seconds):
    """Run for `seconds`, or for a moment in the worker that takes over."""
    run(self.request.id, TAKERS_SECONDS if WORKER.startswith("taker") else seconds)


@app.task(name="trials.hold_until_told", bind=True)
def hold_until_told(self):
    """Run until the store has the file `told`."""
    run(self.request.id, 120, (DATA / "told").exists)


@app.task(name="trials.early", bind=True, acks_late=False)
def early(self, seconds):
    """Run as `hold`, acknowledged at the start whatever the app's setting."""
    run(self.request.id, seconds)


@app.task(name="trials.late", bind=True, acks_late=True)
def late(self, seconds):
    """Run as `hold`, acknowledged at the end whatever the app's setting."""
    run(self.request.id, seconds)


@app.task(name="trials.limited", bind=True, rate_limit="1/h")
def limited(self):
    """End at once; a worker starts only the first, and keeps the second for an hour."""
    run(self.request.id, 0)


# Of the task that is running in this thread.
current = threading.local()


def note_work(what):
    """Note how far this run of `trials.work` has come, which is all that the verdict on kills knows of it."""
    append(DATA / "work", " ".join((what, current.task_id, current.run)))


@app.task(name="trials.work", bind=True, default_retry_delay=0.5)
def work(self, seconds):
    """Note the begin and the end of a run."""
    note_work("began")
    time.sleep(seconds)
    note_work("ended")


def noting_begin(context):
    """Note that Celery begins to prepare a run, in the class of its context."""

    def noted(request, **more):
        if request and request.get("task") == "trials.work":
            current.task_id, current.run = request["id"], uuid.uuid4().hex
            note_work("begins")
        return context(request, **more)

    return noted


def noting_report(report):
    """Note that Celery begins to report the end of a task, in `report`."""

    def noted(self, task_id, *arguments, **more):
        if getattr(current, "task_id", None) == task_id:
            note_work("reported")
        return report(self, task_id, *arguments, **more)

    return noted


trace.Context = noting_begin(trace.Context)
Backend.mark_as_done = noting_report(Backend.mark_as_done)


@signals.task_received.connect
def note_received(request, **_):
    """Note when this worker got a message, and what the broker counts."""
    headers = request.message.headers or {}
    noted = {"id": request.id, "worker": WORKER, "at": time.monotonic(), "returns": headers.get("x-delivery-count")}
    append(DATA / "received", json.dumps(noted))


@signals.worker_ready.connect
def note_ready(**_):
    """Note that this worker consumes."""
    note_time("ready")


@signals.worker_shutting_down.connect
def note_stop(**_):
    """Note when this worker got the signal to stop."""
    note_time("stopping")


def note_time(name):
    """Append the present time to the file `name`."""
    append(DATA / name, json.dumps({"worker": WORKER, "at": time.monotonic()}))
