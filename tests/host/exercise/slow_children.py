"""A module for `--include`: every pool process takes SLOW_CHILDREN_SECONDS to start, as if it loaded a model."""

import os
import time

from celery import current_app
from celery.signals import worker_process_init

SECONDS = float(os.environ.get("SLOW_CHILDREN_SECONDS") or 40)

current_app.conf.worker_proc_alive_timeout = 3 * SECONDS


@worker_process_init.connect
def load(**_):
    """Delay the start of a pool process."""
    time.sleep(SECONDS)
