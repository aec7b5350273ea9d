"""Ask a RabbitMQ on this host what only its own command line knows."""

from __future__ import annotations

import math
import os
import re
import shutil

from procman.errors import ProcmanError
from procman.subprocesses import CLEAN_ENVIRONMENT, SYSTEM_PATH, capture

SECONDS = 15.0
"""rabbitmqctl starts an Erlang machine, which takes a second or two."""

ANSWER = re.compile(r"\{ok,(\d+|undefined|infinity)\}")


def consumer_timeout_seconds() -> float | None:
    """Return after how long RabbitMQ requeues a message that a consumer has not acknowledged.

    None: unknown, for example because the caller is not root or RabbitMQ does not run here.
    """
    program = shutil.which("rabbitmqctl", path=SYSTEM_PATH)
    if program is None or os.geteuid() != 0:
        return None
    words = [program, "--quiet", "eval", "application:get_env(rabbit, consumer_timeout)."]
    try:
        done = capture(words, environment=CLEAN_ENVIRONMENT, timeout=SECONDS)
    except ProcmanError:
        return None
    found = ANSWER.search(done.stdout) if done.status == 0 else None
    if found is None:
        return None
    return int(found.group(1)) / 1000 if found.group(1).isdecimal() else math.inf
