"""Read procman's files without trusting them: bounded, regular files only, and through no link.

A program's own files belong to the user it runs as, who could replace any of them.
"""

import errno
import json
import math
import os
import pwd
import shlex
import stat
from contextlib import contextmanager
from typing import NamedTuple

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

MOST_NAMES = 1000
MOST_DIGITS = 20

RUN_DIRECTORY = 3
"""How many names lead to a program's run directory; what is below belongs to the user it runs as."""


class Unreadable(Exception):
    """A file or directory that exists but cannot be read, with the reason."""

    is_denied = False
    """Whether permissions are the reason."""


class Found(NamedTuple):
    """A file that was read."""

    content: bytes
    owner: int
    """A user id."""
    changed: float
    """When it was last written, in seconds since the epoch."""


def read(base, names, most):
    """Return the last `most` bytes of the file that `names` lead to from the directory `base`; None if it is missing.

    Raises Unreadable. Only `base` itself may be a link, because an administrator chose it.
    """
    found = _read(base, names, most)
    return None if found is None else found.content


def look_at(base, names, most):
    """Return the same as `read`, with what is known about the file."""
    return _read(base, names, most)


def names_in(base, names):
    """Return the sorted names in a directory; none if it is missing. Raises Unreadable."""
    with _directory(base, names) as directory:
        return [] if directory is None else sorted(os.listdir(directory))[:MOST_NAMES]


def link_in(base, names):
    """Return the text of a symbolic link without following it; None if there is none. Raises Unreadable."""
    with _directory(base, names[:-1]) as directory:
        if directory is None:
            return None
        try:
            return os.readlink(names[-1], dir_fd=directory)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(base, names, error) from None


def parse(content, most):
    """Return the JSON value in `content`; raise ValueError for anything that is not plain, finite JSON."""
    if len(content) > most:
        raise ValueError("it is too long")
    try:
        return json.loads(content.decode("utf-8"), parse_constant=_constant, parse_int=_integer, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _read(base, names, most):
    with _directory(base, names[:-1]) as directory:
        if directory is None:
            return None
        try:
            descriptor = os.open(names[-1], FILE, dir_fd=directory)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(base, names, error) from None
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise Unreadable("%s is not a regular file" % os.path.join(base, *names))
            content = os.pread(descriptor, most, max(0, status.st_size - most))
            return Found(content, status.st_uid, status.st_mtime)
        except OSError as error:
            raise _unreadable(base, names, error) from None
        finally:
            os.close(descriptor)


@contextmanager
def _directory(base, names):
    """Yield a descriptor of a directory, None if it is missing."""
    descriptor, reached = None, ()
    try:
        try:
            descriptor = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            for name in names:
                reached = (*reached, name)
                if not is_name(name):
                    raise Unreadable("%r is not the name of a file" % name)
                below = os.open(name, DIRECTORY, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = below
        except FileNotFoundError:
            yield None
            return
        except OSError as error:
            raise _unreadable(base, reached, error) from None
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


def is_name(name):
    """Return whether `name` is a single component of a path."""
    return isinstance(name, str) and name not in ("", ".", "..") and "/" not in name and "\0" not in name


def _unreadable(base, names, error):
    path = os.path.join(base, *names)
    found = Unreadable("%s cannot be read: %s" % (path, error.strerror))
    if error.errno == errno.EACCES:
        found = Unreadable("%s%s" % (found, _remedy(path, names)))
        found.is_denied = True
    return found


def _remedy(path, names):
    """Return what to type about the permissions of `path`; nothing for one that a program's user could replace."""
    try:
        owner = os.stat(path, follow_symlinks=False).st_uid
    except OSError:
        return ""
    if names[1:2] == ("run",) and len(names) > RUN_DIRECTORY:
        return ""
    return ". Type chmod o+rX %s, or run the web server as the user %s" % (shlex.quote(path), user_name(owner))


def user_name(number):
    """Return the name of a user, or the number of one that has none."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return "id %d" % number


def _constant(name):
    raise ValueError("%s is not a number" % name)


def _integer(digits):
    if len(digits) > MOST_DIGITS:
        raise ValueError("a number is too long")
    return int(digits)


def _finite(digits):
    number = float(digits)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number
