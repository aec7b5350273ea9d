"""Celery in Django's admin: the programs that procman runs, their workers and tasks, and their queues."""

VERSION = "0.2.0.dev0"
"""That of procman: both are released together."""

INTERFACE = 1
"""The version of the part of procman's files that this app reads, as docs/django.md of procman describes it."""
