"""For beat's `-S`: Celery's own scheduler; its tick stops the main thread for ever once there is a file `beat-is-deaf`.

It waits in C, as for a driver's lock: Python never comes to what a signal should do, and other threads go on.
"""

import ctypes
from pathlib import Path

from celery.beat import PersistentScheduler
from django.conf import settings


class AilingPersistentScheduler(PersistentScheduler):
    """Ticks, or does not."""

    def tick(self, *arguments, **more):
        """Tick, unless the file is there."""
        if Path(settings.DATA_DIRECTORY, "beat-is-deaf").exists():
            mutex, libc = ctypes.create_string_buffer(64), ctypes.CDLL(None)
            libc.pthread_mutex_lock(mutex)
            libc.pthread_mutex_lock(mutex)
        return super().tick(*arguments, **more)
