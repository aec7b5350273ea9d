"""For `--include`: pool processes that cannot be started as long as a file says so, named after their program.

`PROGRAM-is-slow`: they need longer than Celery lets them, as those do whose database is away.
`PROGRAM-is-dying`: they end at once, as those do whose library is not there.
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
    """Come up late or never."""
    while _is("slow"):
        time.sleep(0.1)
    if _is("dying"):
        os._exit(1)
