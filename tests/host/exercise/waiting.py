"""The demo's settings for an app that waits in its import, as one does whose broker or database is away."""

import time
from pathlib import Path

from exercise.settings import *  # noqa: F403

while not Path("/srv/catmaid/may-start").exists():
    time.sleep(0.1)
