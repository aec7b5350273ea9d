"""Compare `procman status` with one `systemctl show` of the same units: python -m benchmarks.systemd_status.

As root, in a booted Debian of its own (tests/host), with procman installed from its wheel.
"""

from __future__ import annotations

import argparse
import shlex

from benchmarks.paired import HEADER, measure, row
from procman.host.systemctl import PROPERTIES
from tests.host.catmaid import Project, install_procman
from tests.host.machine import Host

PROGRAMS = (1, 40)

TOML = """
[project]
name = "bench"
app = "none"
directory = "/opt"
virtualenv = "/opt/procman"
user = "nobody"
backend = "systemd"
[command.sleep]
argv = ["/bin/sleep", "100000"]
instances = {count}
launcher = false
start_seconds = 0
[systemd]
sandbox = "off"
"""


def main() -> None:
    """Print a table for 1 and 40 programs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20)
    given = parser.parse_args()
    with Host(services=()) as host:
        install_procman(host)
        print(HEADER)
        for count in PROGRAMS:
            project = Project(host, "bench", TOML.format(count=count))
            project.procman("install", "--no-check")
            print(row(f"{count} units", measure(*_commands(host, count), pairs=given.pairs)), flush=True)
            project.procman("uninstall", "--purge")


def _commands(host: Host, count: int) -> tuple[list[str], list[str]]:
    """Return both commands, as words that this machine can spawn; entering the host costs each the same."""
    names = (
        [f"bench-sleep-{number}.service" for number in range(1, count + 1)] if count > 1 else ["bench-sleep.service"]
    )
    ours = ["procman", "--project", "bench", "status"]
    theirs = ["systemctl", "show", f"--property={','.join(PROPERTIES)}", *names]
    return _entering(host, ours), _entering(host, theirs)


def _entering(host: Host, words: list[str]) -> list[str]:
    return ["/bin/sh", "-c", f"exec {shlex.join(host.entering(words))} > /dev/null"]


if __name__ == "__main__":
    main()
