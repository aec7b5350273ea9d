"""Print what `init` found: what a person has to decide comes first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from procman.init.importing.remarks import JoinedRemark
from procman.init.init import InitReport, NewProject
from procman.output.terminal import printable, wrapped


def report_lines(report: InitReport, width: int | None) -> Iterator[str]:
    """Yield the lines for a terminal with `width` columns; None: no line is wrapped."""
    shared = _shared([project.warnings for project in report.projects])
    for project in report.projects:
        own = [each for each in project.warnings if each not in shared]
        if own or project.fill_in:
            yield from _heading(project, report)
        for what in project.fill_in:
            yield from wrapped(what, width, label="fill in ")
        for warning in own:
            yield from wrapped(warning, width, label="note: ")
    for warning in shared:
        yield from wrapped(warning, width, label="note: ")
    for remark in report.remarks:
        yield from _remark(remark, width)
    for project in report.projects:
        yield from _heading(project, report)
        yield from _findings(project, width)


def _shared(warnings: Sequence[Sequence[str]]) -> list[str]:
    """Return the warnings that all of several projects have, which are printed once."""
    return [each for each in warnings[0] if all(each in others for others in warnings)] if len(warnings) > 1 else []


def _heading(project: NewProject, report: InitReport) -> Iterator[str]:
    if len(report.projects) > 1:
        where = f"{project.path}: " if project.path else ""
        yield printable(f"{where}project {project.name or 'without a name'}")


def _remark(joined: JoinedRemark, width: int | None) -> Iterator[str]:
    remark = joined.remark
    label = "note: " if remark.doubtful else "changed: " if remark.changed else "not imported: "
    programs = f" ({joined.programs} programs)" if joined.programs > 1 else ""
    yield from wrapped(f"{remark.place}: {remark.what}: {remark.consequence}{programs}", width, label=label)


def _findings(project: NewProject, width: int | None) -> Iterator[str]:
    room = max((len(found.what) for found in project.findings), default=0)
    for found in project.findings:
        note = f"   ({found.note})" if found.note else ""
        yield from wrapped(f"{found.value}{note}", width, label=f"{printable(found.what):{room}}  ")
