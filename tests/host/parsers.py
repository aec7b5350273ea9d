"""`python -m tests.host.parsers SUITE`: the tests in which systemd reads units, with the systemd of another Debian.

They run in a view of this machine's root in which systemd and systemd-analyze are replaced by those of the other
Debian. Nothing is booted.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from . import cgroups, roots
from .overlay import HostError, Overlay

REPOSITORY = Path(__file__).parents[2]

TESTS = ("tests/quoting/test_systemd.py", "tests/test_units_systemd.py", "tests/backends/systemd")

REPLACE = """
set -eu
mkdir /run/other
tar --extract --file "$1" --directory /run/other
# systemd opens this program without executing it.
cp /run/other/usr/lib/systemd/systemd-executor /usr/lib/systemd/
for program in /usr/lib/systemd/systemd /usr/bin/systemd-analyze; do
    printf '#!/bin/sh\\nprogram=/run/other%s\\n%s\\n' "$program" "$2" > /run/call
    chmod 0755 /run/call
    mv /run/call "$program"
done
"""

LOAD = """
libraries=$(echo /run/other/usr/lib/*-linux-gnu)
libraries=$libraries:$libraries/systemd
exec /run/other/lib*/ld-linux-*.so.* --library-path "$libraries" "$program" "$@"
"""
"""Run the other Debian's program with its C library."""


def parser_tests(suite: str) -> subprocess.CompletedProcess[str]:
    """Run the tests with the systemd of `suite`; their report is in stdout. Raises HostError without its root."""
    archive = roots.root(suite)
    assert archive is not None
    pytest = [_seen(sys.executable), "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS]
    with Overlay(bind=[REPOSITORY]) as view:
        view.run(["sh", "-c", REPLACE, "replace", _seen(archive), LOAD])
        return subprocess.run(
            view.entering([*cgroups.UNIFIED, "env", f"--chdir={_seen(REPOSITORY)}", *pytest]),
            env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )


def _seen(path: str | Path) -> str:
    """Return the path in the view of a file of the checkout."""
    return str(path).replace(str(REPOSITORY), f"/run/{REPOSITORY.name}", 1)


def main() -> int:
    """Print the report and return the exit status of the tests, or 0 with the reason if there is no such root."""
    [suite] = sys.argv[1:]
    try:
        roots.root(suite)
    except HostError as error:
        print(
            f"Skipping the tests in which the systemd of {suite} reads units, because it cannot be installed: {error}"
        )
        return 0
    done = parser_tests(suite)
    print(done.stdout)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
