"""Take values out of untrusted JSON: one of another type is None, which means unknown, and texts are printable."""

LONGEST = 500
MOST_ITEMS = 200

LATEST = 2**33
"""No time is later, in seconds since the epoch."""


def text(found, name):
    """Return a printable text, cut to a length that a page can show."""
    value = found.get(name) if isinstance(found, dict) else None
    return printable(value) if isinstance(value, str) else None


def printable(value):
    """Return `value` in one line of limited length, without control characters."""
    return "".join(each if each.isprintable() else "?" for each in value[:LONGEST])


def number(found, name):
    """Return a number, never a bool."""
    value = found.get(name) if isinstance(found, dict) else None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number and abs(value) < 10**15 else None


def count(found, name):
    """Return a whole number from 0 on."""
    value = number(found, name)
    return value if isinstance(value, int) and value >= 0 else None


def flag(found, name):
    """Return a bool."""
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, bool) else None


def items(found, name):
    """Return a list of objects, cut to as many as a page can show."""
    value = found.get(name) if isinstance(found, dict) else None
    return [each for each in value[:MOST_ITEMS] if isinstance(each, dict)] if isinstance(value, list) else []
