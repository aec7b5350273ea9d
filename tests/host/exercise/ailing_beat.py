"""A scheduler for beat's `-S`: Celery's own, but a tick blocks the main thread for ever if `beat-is-deaf` exists.

It waits in C, like for a driver's lock: Python cannot run signal handlers, and other threads keep running.
"""

import ctypes
from pathlib import Path

from celery.beat import PersistentScheduler
from django.conf import settings


class AilingPersistentScheduler(PersistentScheduler):
    """A scheduler whose tick may block."""

    def tick(self, *arguments, **more):
        """Tick, unless the file exists."""
        if Path(settings.DATA_DIRECTORY, "beat-is-deaf").exists():
            mutex, libc = ctypes.create_string_buffer(64), ctypes.CDLL(None)
            libc.pthread_mutex_lock(mutex)
            libc.pthread_mutex_lock(mutex)
        return super().tick(*arguments, **more)
