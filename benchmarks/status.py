"""Compare `procman status` with `supervisorctl status` of the same supervisord: python -m benchmarks.status."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.installed import bin_directory
from benchmarks.paired import HEADER, measure, row

PROGRAMS = (1, 40, 400)


def main() -> None:
    """Print a table for 1, 40 and 400 programs, and for the start of both commands alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--programs", type=int, nargs="*", default=PROGRAMS)
    given = parser.parse_args()
    bin_ = bin_directory()
    print(HEADER)
    for count in given.programs:
        with supervised(bin_, count) as (procman, supervisorctl):
            pairs = measure([*procman, "status"], [*supervisorctl, "status"], pairs=given.pairs, statuses=(0, 3))
        print(row(f"{count} programs", pairs), flush=True)
    bare = measure([f"{bin_}/procman", "--version"], [f"{bin_}/python", "-c", "import click"], pairs=given.pairs)
    print(row("`procman --version` against `import click`", bare))


@contextmanager
def supervised(bin_: Path, count: int) -> Iterator[tuple[list[str], list[str]]]:
    """Install `count` programs that sleep, under their own supervisord; yield both command lines."""
    directory = Path(tempfile.mkdtemp(prefix="pmb"))
    for variable, name in {"XDG_CONFIG_HOME": "c", "XDG_STATE_HOME": "s", "XDG_DATA_HOME": "d"}.items():
        os.environ[variable] = str(directory / name)
    configuration = directory / "procman.toml"
    configuration.write_text(
        f"""
        [project]
        name = "bench"
        app = "none"
        directory = "{directory}"
        virtualenv = "{bin_.parent}"
        scope = "user"
        [command.sleep]
        argv = ["sleep", "100000"]
        instances = {count}
        launcher = false
        start_seconds = 0
        [supervisor]
        mode = "embedded"
        """
    )
    procman = [f"{bin_}/procman", "--config", str(configuration)]
    supervisord = f"{directory}/c/procman/supervisor/supervisord.conf"
    supervisorctl = [f"{bin_}/supervisorctl", "-c", supervisord]
    try:
        subprocess.run([*procman, "install", "--wait", "120"], check=True, stdout=subprocess.DEVNULL)
        yield procman, supervisorctl
    finally:
        subprocess.run([*procman, "uninstall", "--purge"], check=False, stdout=subprocess.DEVNULL)
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
