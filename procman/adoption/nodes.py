"""Compare the processes of an existing program with the sources that a project adopts of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from procman.host.celery_processes import has_beat, node_of
from procman.host.process_table import Process
from procman.model import Kind
from procman.project import Project
from procman.sources import Source


def beat_in(mains: Iterable[Process], sources: Sequence[Source], project: Project) -> bool:
    """Return whether one of `mains` is or has a beat, or the project's beat adopts one of `sources`."""
    texts = {str(source) for source in sources}
    beats = [program for program in project.programs if program.kind is Kind.BEAT]
    return any(has_beat(main) for main in mains) or any(not texts.isdisjoint(beat.adopts) for beat in beats)


def problem_of_nodes(mains: Iterable[Process], sources: Sequence[Source]) -> str:
    """Return which node of a `celery multi` runs and would stop with those of `sources`; empty if all are adopted."""
    adopted = {source.name.partition("@")[0] for source in sources}
    others = sorted({node_of(main) for main in mains} - {"", *adopted})
    if "" in adopted or not others:
        return ""
    also = f"{sources[0]._replace(name='')}:{others[0]}"
    return f"it also runs node {others[0]}, which would stop with it. Add {also} to the adopts of a program"
