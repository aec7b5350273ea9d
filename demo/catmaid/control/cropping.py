"""Crops a box out of an image stack into a TIFF file below TMP_DIR, and removes such files when they are old."""

import contextlib
import glob
import logging
import math
import os
import time

from django.conf import settings

from catmaid.control.tiff import StackWriter

logger = logging.getLogger(__name__)

FILE_PREFIX = "crop_"
FILE_EXTENSION = ".tiff"
PART_EXTENSION = ".part"
SECTIONS = 8
SIDE = 128


def crop_path(name):
    """Return the path of the crop `name`; the file appears only when it is complete."""
    return os.path.join(settings.TMP_DIR, FILE_PREFIX + name + FILE_EXTENSION)


def existing_crops():
    """Return the names of all complete crops, oldest first."""
    paths = [path for _, path in sorted(_files(crop_path("*")))]
    return [os.path.basename(path)[len(FILE_PREFIX) : -len(FILE_EXTENSION)] for path in paths]


def crop(name, seconds):
    """Write the crop `name` section by section, so that it takes at least `seconds`."""
    os.makedirs(settings.TMP_DIR, exist_ok=True)
    path = crop_path(name)
    part = path + PART_EXTENSION
    start = time.monotonic()
    with open(part, "wb") as file:
        stack = StackWriter(file, SIDE, SIDE)
        for z in range(SECTIONS):
            stack.add(section(z))
            logger.info("crop %s: section %d of %d", name, z + 1, SECTIONS)
            _wait_until(start + seconds * (z + 1) / SECTIONS)
        file.flush()
        os.fsync(file.fileno())
    os.rename(part, path)
    return path


def section(z):
    """Return an invented section as `SIDE * SIDE` grey values: rings around an axis that drifts with `z`."""
    centre = SIDE / 2 + 4 * z
    return bytes(
        int(127.5 + 127.5 * math.sin(math.hypot(x - centre, y - centre) / 5)) for y in range(SIDE) for x in range(SIDE)
    )


def cleanup(max_age_seconds):
    """Remove crops, finished or not, that were last written more than `max_age_seconds` ago; return how many."""
    oldest = time.time() - max_age_seconds
    old = [path for modified, path in _files(crop_path("*") + "*") if modified < oldest]
    for path in old:
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)
    logger.info("removed %d old crops", len(old))
    return len(old)


def _files(pattern):
    for path in glob.glob(pattern):
        # A worker may rename the file, or another clean-up remove it, at any moment.
        with contextlib.suppress(FileNotFoundError):
            yield os.stat(path).st_mtime, path


def _wait_until(moment):
    time.sleep(max(0.0, moment - time.monotonic()))
