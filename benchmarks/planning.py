"""Measure rendering and planning an install of 1, 100 and 1,000 programs: python -m benchmarks.planning."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from time import perf_counter

from procman.backends import backend_named
from procman.config.load import load
from procman.install.plan.describe import describe
from procman.install.plan.plan import make_plan
from procman.install.safe_fs.tree import Tree
from procman.install.state.generations import read_installation
from procman.project import Project

COUNTS = (1, 100, 1000)
ROUNDS = 5


def main() -> None:
    """Print a table: the median of several rounds, and the time per program."""
    print("| programs | load | render | plan | per program |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as directory:
        for count in COUNTS:
            rounds = [_round(Path(directory), count) for _ in range(ROUNDS)]
            load_time, render_time, plan_time = (statistics.median(times) for times in zip(*rounds, strict=True))
            each = (load_time + render_time + plan_time) / count
            print(f"| {count} | {load_time:.3f} s | {render_time:.3f} s | {plan_time:.3f} s | {each * 1000:.2f} ms |")


def _round(directory: Path, count: int) -> tuple[float, float, float]:
    configuration = directory / "procman.toml"
    configuration.write_text(
        f"""
        [project]
        name = "bench"
        app = "mysite"
        directory = "/srv"
        virtualenv = "/srv/env"
        scope = "user"
        [supervisor]
        mode = "embedded"
        [worker.celery]
        instances = {count}
        """
    )
    begun = perf_counter()
    project = load(configuration, {"HOME": str(directory)})
    loaded = perf_counter()
    rendering = backend_named(project.backend).render(project)
    rendered = perf_counter()
    _plan(project, rendering)
    return loaded - begun, rendered - loaded, perf_counter() - rendered


def _plan(project: Project, rendering: object) -> None:
    from procman.project import Rendering

    assert isinstance(rendering, Rendering)
    with Tree() as tree:
        desired = describe(project, rendering, (), procman="", configuration=b"", templates_digest="")
        plan = make_plan(rendering, desired, read_installation(tree, project.directories), tree)
    assert len(plan.changes) == len(rendering.files)


if __name__ == "__main__":
    main()
