"""A module for `--include`: a task that ends once a file exists, however slow the machine is."""

import time
from pathlib import Path

from celery import shared_task
from counting.tasks import append


@shared_task(name="until_freed.hold")
def hold(number, file):
    """Append `number` to the file `started`, wait for `file`, then append it to the file `finished`."""
    append("started", number)
    while not Path(file).exists():
        time.sleep(0.1)
    append("finished", number)
