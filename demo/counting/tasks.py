"""Each task appends its number to a file: a missing line is a lost task, a duplicate line a repeated one."""

import os
import time

from celery import shared_task
from django.conf import settings


@shared_task
def echo(number):
    """Append `number` to the file `finished`."""
    append("finished", number)


@shared_task
def hold(number, seconds):
    """Append `number` to the file `started`, take `seconds`, then append it to the file `finished`."""
    append("started", number)
    time.sleep(seconds)
    append("finished", number)


def append(name, number):
    """Append a line in one write, which O_APPEND keeps whole even if several processes do it at once."""
    os.makedirs(settings.COUNTED_DIRECTORY, exist_ok=True)
    file = os.open(os.path.join(settings.COUNTED_DIRECTORY, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(file, b"%d\n" % number)
    finally:
        os.close(file)
