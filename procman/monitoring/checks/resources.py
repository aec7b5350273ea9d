"""PM107 and PM108: compare memory and open files with their limits."""

from __future__ import annotations

from collections.abc import Iterator

from procman.host.process import memory, open_files
from procman.model import Level, Result
from procman.monitoring.checks.inputs import ProjectSnapshot

MIB = 1024 * 1024
NEARLY = 0.9
"""The part of the memory limit from which a warning is given."""

MANY_FILES, TOO_MANY_FILES = 0.8, 0.95


def check_memory(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield the memory of each program that has a limit: the PSS of all its processes, which divides shared pages."""
    for snapshot in running.up:
        limit = snapshot.program.memory_restart_mib
        # The kernel adds up the PSS page by page, which makes this the most expensive check.
        # It is the limit of one process of a worker that overlaps; one that drains ends by itself.
        pids = [process.pid for process in running.below(snapshot.state.pid or 0)] if limit is not None else []
        found = list(map(memory, pids))
        sizes = [size for size in found if size]
        if limit is None or not sizes:
            continue
        mib = round(sum(size for size, _ in sizes) / MIB, 1)
        name, values = snapshot.program.name, {"memory_mib": mib, "memory_restart_mib": float(limit)}
        detail = f"it uses {mib:.0f} MiB of memory; its limit is {limit} MiB"
        if mib <= limit * NEARLY:
            yield Result("PM107", name, Level.OK, detail, "", values)
        elif not all(is_share for _, is_share in sizes):
            hint = "Run the command as root or as the user of the programs"
            detail = f"it uses at most {mib:.0f} MiB of memory, shared pages included; its limit is {limit} MiB"
            yield Result("PM107", name, Level.UNKNOWN, detail, hint, values)
        else:
            level = Level.CRITICAL if mib > limit else Level.WARNING
            yield Result("PM107", name, level, detail, f"procman restart {name}", values)


def check_open_files(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield the open files of the process of each program that is nearest to its limit, if this user can see them."""
    for snapshot in running.up:
        found = [files for process in running.tree(snapshot) if (files := open_files(process.pid)) and files.limit]
        if not found:
            continue
        fullest = max(found, key=lambda files: files.held / files.limit)
        part = fullest.held / fullest.limit
        level = Level.CRITICAL if part >= TOO_MANY_FILES else Level.WARNING if part >= MANY_FILES else Level.OK
        detail = f"one of its processes has {fullest.held} of at most {fullest.limit} files open" if level else ""
        pid = snapshot.state.pid
        hint = (
            f"ls -l /proc/{pid}/fd; to raise the limit: minfds (supervisord), LimitNOFILE= (systemd)" if level else ""
        )
        yield Result("PM108", snapshot.program.name, level, detail, hint, {"open_files": float(fullest.held)})
