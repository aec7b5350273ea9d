"""Find out whether the project's Celery has a subcommand. procman puts this text before that of path_script.py."""

import os
import sys
from typing import Iterator

SUBCOMMANDS = {
    *("amqp", "beat", "call", "control", "events", "graph", "help", "inspect", "list", "logtool", "migrate", "multi"),
    *("purge", "report", "result", "shell", "status", "upgrade", "worker"),
}
"""Those that Celery 4.4 to 5.7 bring; all others are of other packages."""

GROUP = "[celery.commands]"
LARGEST_ENTRY_POINTS = 1 << 20


def has_subcommand(name: str) -> bool:
    """Return whether Celery, or a package beside it, has the subcommand `name`; nothing is imported."""
    return name in SUBCOMMANDS or any(name == plugin for path in sys.path if path for plugin in _plugins(path))


def _plugins(directory: str) -> Iterator[str]:
    """Yield the subcommands that the packages in `directory` add by their entry points."""
    try:
        packages = [each for each in os.listdir(directory) if each.endswith((".dist-info", ".egg-info"))]
    except OSError:
        return
    for package in packages:
        try:
            with open(os.path.join(directory, package, "entry_points.txt"), encoding="utf-8", errors="replace") as file:
                lines = file.read(LARGEST_ENTRY_POINTS).splitlines()
        except OSError:
            continue
        section = ""
        for line in map(str.strip, lines):
            section = line if line.startswith("[") else section
            if section == GROUP and "=" in line:
                yield line.partition("=")[0].strip()
