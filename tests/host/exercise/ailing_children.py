"""A module for `--include`: pool processes fail to start while a file named after their program exists.

`PROGRAM-is-slow`: they need longer than Celery allows, as if their database were away.
`PROGRAM-is-dying`: they exit at once, as if a library were missing.
"""

import os
import time
from pathlib import Path

from celery import current_app
from celery.signals import worker_process_init
from django.conf import settings

current_app.conf.worker_proc_alive_timeout = 1


def _is(what):
    return Path(settings.DATA_DIRECTORY, f"{os.environ['PROCMAN_PROGRAM']}-is-{what}").exists()


@worker_process_init.connect
def ail(**_):
    """Delay or prevent the start of a pool process."""
    while _is("slow"):
        time.sleep(0.1)
    if _is("dying"):
        os._exit(1)
