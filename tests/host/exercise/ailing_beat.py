"""For beat's `-S`: Celery's own scheduler, whose tick blocks the main thread as long as a file says so.

`beat-waits`: in Python, as in a task's producer whose broker never answers; a signal ends it.
`beat-is-deaf`: in C and for ever, as in a driver's lock; Python never comes to what a signal should do.
"""

import ctypes
import time
from pathlib import Path

from celery.beat import PersistentScheduler
from django.conf import settings


class AilingPersistentScheduler(PersistentScheduler):
    """Ticks, or does not."""

    def tick(self, *arguments, **more):
        """Tick, unless a file is there."""
        while Path(settings.DATA_DIRECTORY, "beat-waits").exists():
            time.sleep(0.1)
        if Path(settings.DATA_DIRECTORY, "beat-is-deaf").exists():
            mutex, libc = ctypes.create_string_buffer(64), ctypes.CDLL(None)
            libc.pthread_mutex_lock(mutex)
            libc.pthread_mutex_lock(mutex)
        return super().tick(*arguments, **more)
