"""Wrappers for tests: small programs that behave like ddtrace-run and its kind, or like those that fork."""

from __future__ import annotations

from pathlib import Path

INSTRUMENT = """#!/bin/sh
# Like ddtrace-run: puts the directory of a sitecustomize first, and executes the command.
echo "wrapper sees TOKEN=$TOKEN, PYTHONPATH=$PYTHONPATH"
export PYTHONPATH="{directory}/bootstrap:$PYTHONPATH" SET_BY=wrapper
exec "$@"
"""

SITECUSTOMIZE = 'import sys\nsys.modules["instrumentation"] = sys\nprint("instrumented", flush=True)\n'

FORK = """#!/bin/sh
# Like timeout: stays and waits for its child.
"$@"
exit $?
"""


def make_wrappers(directory: Path) -> None:
    """Write `instrument`, which execs, and `fork`, which does not, to `directory`."""
    (directory / "bootstrap").mkdir(parents=True)
    (directory / "bootstrap" / "sitecustomize.py").write_text(SITECUSTOMIZE)
    for name, text in (("instrument", INSTRUMENT.replace("{directory}", str(directory))), ("fork", FORK)):
        (directory / name).write_text(text)
        (directory / name).chmod(0o755)
