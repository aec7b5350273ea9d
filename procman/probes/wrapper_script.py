"""Run the wrapper of a program around a tiny command, and answer with one line of JSON.

    VIRTUALENV/bin/python - ignored JSON

JSON is an array, the words of the wrapper. Like the launcher, this process becomes the wrapper; a wrapper that replaces
itself too makes the command run with the same pid. It is run without the module site, in which an instrumentation would
start and wait for its server. The answer is the last line of stdout that begins with MARKER.
"""

import json
import os
import signal
import sys
from typing import Any, Dict, List

FORMAT = 1
MARKER = "procman-probe:"
VARIABLE = "PROCMAN_PROBE_OF_WRAPPER"

COMMAND = """
import json, os, sys
answer = {"format": %d, "error": "", "same": os.getpid() == int(sys.argv[1]), "kept": %r in os.environ}
sys.stdout.write("\\n%s" + json.dumps(answer) + "\\n")
""" % (
    FORMAT,
    VARIABLE,
    MARKER,
)


def become(wrapper: List[str]) -> Dict[str, Any]:
    """Replace this process with the wrapper; return the answer if that fails."""
    os.environ[VARIABLE] = "1"
    for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored_by_python, signal.SIG_DFL)
    words = wrapper + [sys.executable, "-I", "-S", "-c", COMMAND, str(os.getpid())]
    try:
        os.execvp(words[0], words)  # noqa: S606  # the wrapper of procman.toml
    except OSError as error:
        return {"format": FORMAT, "error": error.strerror or str(error), "same": False, "kept": False}


def main() -> None:
    found = become(json.loads(sys.argv[2]))
    sys.stdout.write("\n%s%s\n" % (MARKER, json.dumps(found)))


if __name__ == "__main__":
    main()
