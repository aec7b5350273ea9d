"""The demo's settings for an app that blocks during its import, as if its broker or database were away."""

import time
from pathlib import Path

from exercise.settings import *  # noqa: F403

while not Path("/srv/catmaid/may-start").exists():
    time.sleep(0.1)
