"""Run the trials and print their results as a table for docs/fleet.md: `make kubernetes`."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

from tests.kubernetes.build import VERSION, binaries
from tests.kubernetes.cluster import running
from tests.kubernetes.site import Site
from tests.kubernetes.trials import Trials


def main() -> None:
    """Build Kubernetes if needed, run it, and print a table."""
    if os.geteuid() != 0:
        raise SystemExit("make kubernetes needs root: it makes network namespaces and control groups")
    binaries()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout
    print(
        f"Kubernetes {VERSION}, {time.strftime('%Y-%m-%d')}, commit {commit}\n\n| trial | result |\n|---|---|",
        flush=True,
    )
    with tempfile.TemporaryDirectory(prefix="pmk") as directory:
        path = Path(directory)
        path.chmod(0o755)
        site = Site(path / "site")
        with running(path / "cluster") as cluster:
            for what, result in Trials(cluster, site).rows():
                print(f"| {what} | {result} |", flush=True)


if __name__ == "__main__":
    main()
