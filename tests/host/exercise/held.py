"""An app whose queues and settings are in a JSON file, so that a test can change them."""

import json
import os
import time
from pathlib import Path

from celery import Celery
from kombu import Exchange, Queue

settings = json.loads(Path(os.environ["HELD_SETTINGS"]).read_text())

app = Celery("held", broker=os.environ["CELERY_BROKER_URL"])
app.conf.task_queues = [
    Queue(name, Exchange(f"{name}-{kind}", kind), name, queue_arguments={"x-queue-type": "quorum", **arguments})
    for name, (kind, arguments) in settings.pop("queues").items()
]
app.conf.update(settings)


@app.task(name="held.sleep")
def sleep(seconds: float = 0) -> None:
    time.sleep(seconds)
