"""Expand the node names of workers as Celery does (celery.utils.nodenames of Celery 4.4 to 5.7)."""

from __future__ import annotations

import re

ANY_HOST = "\0.\1"
"""Means the host that a worker runs on, whatever its name is: no node name contains it."""

NAMED_ALIKE = "RabbitMQ refuses the mailbox of the second one, and remote control commands reach both or the wrong one"
"""The consequence, for messages, of two workers with one node name on one broker."""

_NAME = "celery"


def with_name(hostname: str) -> str:
    """Return `hostname` with the name that Celery puts before a bare host (celery.utils.nodenames.nodesplit)."""
    return hostname if "@" in hostname else f"{_NAME}@{hostname}"


def expanded(text: str, name: str, host: str = ANY_HOST) -> str:
    """Return `text`, such as the path of a state file, as the worker with the node name `name` on `host` reads it."""
    short, _, on = node_name(name, host).partition("@")
    known = {"h": on, "n": short, "d": on.partition(".")[2], "p": f"{short}@{on}", "%": "%"}
    return re.sub(r"%([%\w])", lambda found: known.get(found[1], found[0]), text)


def node_name(hostname: str | None, host: str = ANY_HOST) -> str:
    """Return the node name of a worker with the option `-n hostname` on `host`; without the option, its default.

    Two workers on one host have the same node name if it is the same for ANY_HOST, however it is written.
    """
    name, at, on = (hostname or "").partition("@")
    if not at:
        # Celery takes a name without @ for the host.
        name, on = "", name
    short, _, domain = host.partition(".")
    known = {"h": host, "n": short, "d": domain, "i": "0", "I": ""}
    return re.sub(r"%(\w)", lambda found: known.get(found[1], found[0]), f"{name or _NAME}@{on or host}")
