"""Filters that show values of the pages; a value that is unknown is shown as unknown."""

from django import template

from procman_django import programs, section

register = template.Library()

UNKNOWN = "unknown"

AUTHORS = {"inside": "itself", "healer": "the watcher"}
"""The names of an event's authors that are not users, as `procman events` prints them."""


@register.filter
def known(value):
    """Return `value`, or that it is unknown."""
    return UNKNOWN if value is None else value


@register.filter
def duration(seconds):
    """Return a length of time, such as 5m10s."""
    return UNKNOWN if seconds is None else programs.duration(seconds)


@register.filter
def author(name):
    """Return who did what an event reports."""
    return AUTHORS.get(name, name) or "–"


@register.filter
def mebibytes(size):
    """Return a number of bytes in MiB."""
    return UNKNOWN if size is None else "%d MiB" % round(size / 1048576)


@register.filter
def moment(seconds):
    """Return a time in seconds since the epoch as one that the filter `date` shows in the project's time zone."""
    return section.moment(seconds)
