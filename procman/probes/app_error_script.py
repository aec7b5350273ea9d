"""Describe an error of the project's code: its message, and where it came from in that code.

procman puts this text before that of app_script.py.
"""

import importlib
import os
import re
import sys
import traceback
from typing import Any, Dict, List, Sequence

TRACEBACK_FRAMES = 6
LONGEST_MESSAGE = 2000

MOST_SOURCES = 500
LARGEST_MODULE = 1 << 20


def error_facts(error: BaseException) -> Dict[str, Any]:
    """Return type, message and places of an error, without the lines of code."""
    # The original error is the one to fix: Celery turns an AttributeError in the settings into another error.
    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    error = chain[-1]
    found = {"type": type(error).__name__, "message": message_of(error), "traceback": _places(chain)}
    return dict(found, place=_own_place(chain), variable=_missing_variable(error))


def message_of(error: BaseException) -> str:
    """Return the message of an error, whatever its class does."""
    try:
        return str(error)[:LONGEST_MESSAGE]
    except Exception:
        return "(no message: it cannot be shown)"


def _missing_variable(error: BaseException) -> str:
    """Return the name of the variable that the code read from os.environ, if it is not set; empty for other errors."""
    frames = traceback.extract_tb(error.__traceback__)
    is_of_os = bool(frames) and frames[-1].filename in ("<frozen os>", os.__file__)
    return str(error.args[0])[:LONGEST_MESSAGE] if is_of_os and isinstance(error, KeyError) and error.args else ""


def _places(chain: Sequence[BaseException]) -> List[str]:
    """Return where the last error of `chain` was raised: its last frames, and the last one in the project's code."""
    # Without the lines of code, which may contain secrets.
    last, error = _frames(chain[-1])[-TRACEBACK_FRAMES:], chain[-1]
    own = _own_frames(chain)[-1:]
    shown = last if not own or own[0] in last else own + last[1:]
    places = ["%s:%s in %s" % (frame.filename, frame.lineno, frame.name) for frame in shown]
    if isinstance(error, SyntaxError) and error.filename:
        places.append("%s:%s" % (error.filename, error.lineno))
    return places


def _own_place(chain: Sequence[BaseException]) -> str:
    """Return the last place in the project's code: that of a syntax error, of a frame, or of a missing module's name.

    It is empty if there is none.
    """
    error, own = chain[-1], _own_frames(chain)
    if isinstance(error, SyntaxError) and error.filename and _is_own(error.filename):
        return "%s:%s" % (error.filename, error.lineno)
    if own:
        return "%s:%s" % (own[-1].filename, own[-1].lineno)
    return _place_of_name(error.name) if isinstance(error, ImportError) and error.name else ""


def _place_of_name(module: str) -> str:
    """Return where a variable or a setting, such as INSTALLED_APPS, names a missing module; empty if none does."""
    variables = [name for name, value in sorted(os.environ.items()) if value.partition(":")[0] == module]
    if variables:
        return "the variable %s" % variables[0]
    quoted = re.compile(r"""["']%s["'.:]""" % re.escape(module))
    paths = {str(getattr(each, "__file__", None) or "") for each in list(sys.modules.values())}
    for path in sorted(filter(_is_own, paths))[:MOST_SOURCES]:
        line = _last_line_with(quoted, path)
        if line:
            return "%s:%s" % (path, line)
    return ""


def _last_line_with(pattern: "re.Pattern[str]", path: str) -> int:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read(LARGEST_MODULE).splitlines()
    except OSError:
        return 0
    return max((number for number, line in enumerate(lines, 1) if pattern.search(line)), default=0)


def _own_frames(chain: Sequence[BaseException]) -> List[traceback.FrameSummary]:
    return [frame for each in chain for frame in _frames(each) if _is_own(frame.filename)]


def _frames(error: BaseException) -> List[traceback.FrameSummary]:
    # Frames of Python's importer and of this script are no help.
    others = (importlib.__file__, _frames.__code__.co_filename)
    frames = traceback.extract_tb(error.__traceback__)
    return [each for each in frames if not each.filename.startswith("<frozen ") and each.filename not in others]


def _is_own(path: str) -> bool:
    # The virtualenv may be inside the project's directory, which is the working directory.
    roots = [os.getcwd(), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    is_below = any(path.startswith(os.path.join(root, "")) for root in roots)
    return is_below and not path.startswith(os.path.join(sys.prefix, ""))
