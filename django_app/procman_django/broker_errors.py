"""Describe why the broker could not be asked, without texts that may be its URL with a password."""

import os
import socket
import sys

from .values import printable

MOST_CAUSES = 20
LONGEST = 200


def described(error):
    """Return the cause of `error` that the system or an import reported; the name of a class if there is none."""
    # From the outside: below the cause may be an address that was tried before, or a cache that was empty.
    for each in _causes(error):
        text = _of_import(each) if isinstance(each, ImportError) else _of_system(each)
        if text:
            return text
    return type(_innermost(error)).__name__


def missing_module(error):
    """Return the first part of the name of the module whose absence caused `error`; empty if that is not the cause."""
    for each in _causes(error):
        if isinstance(each, ModuleNotFoundError) and isinstance(each.name, str):
            return printable(each.name.partition(".")[0])[:LONGEST]
    return ""


def how_to_install(module):
    """Return what to type if the Python of this web server lacks `module`; empty: one that is not named."""
    pip = os.path.join(sys.prefix, "bin", "pip")
    typed = "Type %s install %s" % (pip, module) if module else "Install it with %s" % pip
    return "%s, and restart the web server." % typed


def is_missing(error):
    """Return whether `error` shows that the Python of this web server lacks a module."""
    return any(isinstance(each, ImportError) for each in _causes(error))


def _causes(error):
    found = []
    while error is not None and len(found) < MOST_CAUSES and not any(error is each for each in found):
        found.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return found


def _innermost(error):
    # Only of those that were wrapped on purpose.
    for _ in range(MOST_CAUSES):
        if error.__cause__ is None:
            break
        error = error.__cause__
    return error


def _of_import(error):
    module = missing_module(error)
    # kombu 4 raises one without a name: "Missing redis library (pip install redis)".
    return "the module %s is missing" % module if module else _without_url(str(error))


def _of_system(error):
    if isinstance(error, socket.timeout):
        return "it timed out"
    status = getattr(error, "code", None)
    if isinstance(error, OSError) and type(status) is int and 100 <= status < 600:
        return "HTTP status %d" % status
    return _without_url(error.strerror) if isinstance(error, OSError) and isinstance(error.strerror, str) else ""


def _without_url(text):
    return "" if "@" in text or "://" in text else printable(text)[:LONGEST]
