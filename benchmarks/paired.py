"""Run two commands in turn and compare them pair by pair."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter


@dataclass(frozen=True)
class Run:
    """The resources that one finished command used."""

    wall_seconds: float
    cpu_seconds: float
    memory_mib: float
    """The peak resident size."""


@dataclass(frozen=True)
class Pairs:
    """The same number of runs of each command, taken in turn."""

    ours: Sequence[Run]
    other: Sequence[Run]

    def ratio(self, figure: str) -> str:
        """Return `ours` divided by `other`, pair by pair: the median, and in brackets minimum and maximum."""
        ratios = [
            getattr(one, figure) / getattr(another, figure) for one, another in zip(self.ours, self.other, strict=True)
        ]
        return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"

    def medians(self, figure: str) -> tuple[float, float]:
        """Return the medians of `ours` and `other`."""
        ours, other = ([getattr(run, figure) for run in runs] for runs in (self.ours, self.other))
        return statistics.median(ours), statistics.median(other)


def measure(ours: Sequence[str], other: Sequence[str], *, pairs: int, statuses: Sequence[int] = (0,)) -> Pairs:
    """Run `ours` and `other` in turn, `pairs` times after one uncounted run; each must exit with one of `statuses`."""
    runs = [(_run(ours, statuses), _run(other, statuses)) for _ in range(pairs + 1)]
    return Pairs(*zip(*runs[1:], strict=True))


def _run(command: Sequence[str], statuses: Sequence[int]) -> Run:
    begun = perf_counter()
    quiet = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, quiet, 0), (os.POSIX_SPAWN_DUP2, quiet, 1)]
    pid = os.posix_spawn(command[0], list(command), os.environ, file_actions=actions)
    os.close(quiet)
    _, status, usage = os.wait4(pid, 0)
    if os.waitstatus_to_exitcode(status) not in statuses:
        raise SystemExit(f"{' '.join(command)} exited with status {os.waitstatus_to_exitcode(status)}")
    return Run(perf_counter() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def row(name: str, pairs: Pairs) -> str:
    """Return a row of a Markdown table: wall time and memory of both commands, and the ratios."""
    ours, other = pairs.medians("wall_seconds")
    memory, other_memory = pairs.medians("memory_mib")
    return (
        f"| {name} | {ours:.3f} s | {other:.3f} s | {pairs.ratio('wall_seconds')} | {pairs.ratio('cpu_seconds')} "
        f"| {memory:.0f} MiB | {other_memory:.0f} MiB | {pairs.ratio('memory_mib')} |"
    )


HEADER = (
    "| | first | second | wall ratio | CPU ratio | first memory | second memory | memory ratio |\n"
    "|---|---|---|---|---|---|---|---|"
)
