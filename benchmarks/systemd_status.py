"""`procman status` against one `systemctl show` of the same units: python -m benchmarks.systemd_status [--pairs N].

As root, in a booted Debian of its own (tests/host); with --here in the systemd that runs this machine.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.paired import HEADER, measure, row
from procman.backends.systemd.systemctl import PROPERTIES
from tests.host.machine import Host

PROGRAMS = (1, 40)
REPOSITORY = Path(__file__).parent.parent


def main() -> None:
    """Print a table for 1 and 40 programs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--here", action="store_true")
    given = parser.parse_args()
    if given.here:
        _measure(given.pairs)
        return
    with Host(services=()) as host:
        words = [sys.executable, "-m", "benchmarks.systemd_status", "--here", f"--pairs={given.pairs}"]
        print(host.run(words, timeout=900, environment={"PYTHONPATH": str(REPOSITORY)}).stdout, end="")


def _measure(pairs: int) -> None:
    print(HEADER)
    for count in PROGRAMS:
        with _installed(count) as procman:
            units = [f"bench-sleep-{number}" for number in range(1, count + 1)] if count > 1 else ["bench-sleep"]
            show = ["/usr/bin/systemctl", "show", f"--property={','.join(PROPERTIES)}", *(f"{unit}.service" for unit in units)]
            print(row(f"{count} units", measure([*procman, "status"], show, pairs=pairs)), flush=True)


@contextmanager
def _installed(count: int) -> Iterator[list[str]]:
    """Install COUNT programs that sleep; yield procman's command line."""
    directory = Path(tempfile.mkdtemp(prefix="pmb", dir="/opt"))
    configuration = directory / "procman.toml"
    configuration.write_text(
        f"""
        [project]
        name = "bench"
        app = "none"
        directory = "{directory}"
        virtualenv = "{sys.prefix}"
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
    )
    directory.chmod(0o755)
    procman = [sys.executable, "-m", "procman", "--config", str(configuration)]
    try:
        subprocess.run([*procman, "install", "--wait", "120"], check=True, stdout=subprocess.DEVNULL)
        yield procman
    finally:
        subprocess.run([*procman, "uninstall", "--purge"], check=False, stdout=subprocess.DEVNULL)
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
