"""PM74x: beat's scheduler, where its schedule is kept, and that no other beat runs."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from procman.host.temporary import is_emptied_at_boot
from procman.model import Kind, Level, Result, Scope
from procman.preflight.inputs import Place, PreflightFacts
from procman.preflight.interpreter import numbers
from procman.probes.app import Judged
from procman.project import Beat, Program

MISSING = os.strerror(errno.ENOENT)

MENDS_ITSELF = (5, 6)
"""From this Celery on beat replaces any schedule that it cannot read; before, one that opens may end it."""


def _beats(preflight: PreflightFacts) -> Iterator[tuple[Program, Judged]]:
    for program in preflight.of_kind(Kind.BEAT):
        each = preflight.answer(program)
        yield program, each.judged.get(program.name, Judged()) if each else Judged()


def _files(preflight: PreflightFacts) -> Iterator[tuple[Program, Path]]:
    """The beats that keep a file, and which."""
    for program, judged in _beats(preflight):
        if isinstance(program.options, Beat) and program.options.schedule_file and judged.keeps_file is not False:
            yield program, program.options.schedule_file


def scheduler_is_imported(preflight: PreflightFacts) -> Iterator[Result]:
    """The scheduler class of beat can be imported."""
    for program, judged in _beats(preflight):
        if judged.scheduler_error:
            detail = f"the scheduler cannot be imported: {judged.scheduler_error}"
            hint = f"Install it into the virtualenv, or mend scheduler in [{program.key}] or the app's beat_scheduler."
            yield Result("PM741", program.name, Level.CRITICAL, detail, hint)
        elif judged.scheduler:
            yield Result("PM741", program.name, Level.OK, f"the scheduler is {judged.scheduler}")


def schedule_can_be_written(preflight: PreflightFacts) -> Iterator[Result]:
    """The directory of the schedule is there, or will be made, and the user can write to it."""
    for program, file in _files(preflight):
        place = preflight.places.get(file.parent)
        if place:
            yield Result("PM742", program.name, *_how_written(preflight, program, file.parent, place))


def _how_written(preflight: PreflightFacts, program: Program, directory: Path, place: Place) -> tuple[Level, str, str]:
    """Return level, detail and hint about the directory of a schedule."""
    user, mend = preflight.user, f"Mend schedule_file in [{program.key}]."
    kept = f"{directory}, where beat keeps its schedule"
    if place.exists and not place.is_directory:
        return Level.CRITICAL, f"{directory} is no directory", mend
    if place.exists and not place.writable:
        hint = f"chown {user} {directory} && chmod u+rwx {directory}"
        return Level.CRITICAL, f"{user} cannot write to {kept}: it would end at every start", hint
    if place.exists:
        return Level.OK, f"{user} can write to {directory}", ""
    if place.problem not in ("", MISSING):
        hint = f"namei -l {directory} shows what keeps {user} out."
        return Level.CRITICAL, f"{user} cannot reach {kept}: {place.problem}", hint
    if preflight.project.scope is Scope.USER and not place.above_writable:
        return Level.CRITICAL, f"{directory} is missing, and not yours to make", mend
    return Level.OK, f"{directory} is made by the install", ""


def schedule_stays(preflight: PreflightFacts) -> Iterator[Result]:
    """The schedule is kept where no boot removes it, and not among the code."""
    for program, file in _files(preflight):
        directory = preflight.places.get(file.parent)
        if is_emptied_at_boot(file) or (directory and directory.in_memory):
            detail = f"{file.parent} is emptied at boot: beat then forgets when things last ran"
            yield Result("PM743", program.name, Level.WARNING, detail, _elsewhere(preflight, program))
        code = [preflight.project.directory, *preflight.project.python_path]
        if any(file.is_relative_to(place) for place in code):
            detail = (
                f"{file} is among the code: who may write the schedule may write code there, and the next release may "
                "remove it"
            )
            yield Result("PM743", program.name, Level.WARNING, detail, _elsewhere(preflight, program))


def _elsewhere(preflight: PreflightFacts, program: Program) -> str:
    beat, usual = program.options, preflight.project.directories.data
    if isinstance(beat, Beat) and beat.schedule_file and beat.schedule_file.parent == usual:
        return f'Write schedule_file = "PATH" into [{program.key}], with a place that outlives a boot.'
    return f"Leave schedule_file out of [{program.key}]: it is then kept in {usual}."


def schedule_is_the_users(preflight: PreflightFacts) -> Iterator[Result]:
    """The files of the schedule can be written by the user, and by nobody else: a pickle runs code."""
    user = preflight.user
    for program, _ in _files(preflight):
        for path, place in preflight.schedule.files.items() if preflight.schedule else ():
            if not place.exists or not place.readable or not place.writable:
                # Where it can, beat removes it without a word, and with it the times of the last runs.
                directory = preflight.places.get(path.parent)
                level = Level.WARNING if directory and directory.writable else Level.CRITICAL
                what = (
                    "removes it and forgets when things last ran" if level is Level.WARNING else "ends at every start"
                )
                detail = (
                    f"{path} belongs to {place.owner or 'nobody known'}, {user} cannot write to it, and beat {what}"
                )
                hint = f"chown {user} {path} && chmod 0600 {path}"
                yield Result("PM744", program.name, level, detail, hint)
            elif place.mode & 0o022:
                detail = (
                    f"{path} has mode {place.mode:04o}: whoever can write to it runs code as {user} (it is a pickle)"
                )
                yield Result("PM744", program.name, Level.WARNING, detail, f"chmod go-w {path}")


def schedule_can_be_read(preflight: PreflightFacts) -> Iterator[Result]:
    """The schedule is whole."""
    schedule, app = preflight.schedule, preflight.facts()
    for program, file in _files(preflight):
        for old, new in schedule.set_aside if schedule else ():
            detail = f"beat could not read {old}, and it was set aside: it is called {new} now"
            hint = "Nothing is left to do: beat begins a new one, and does not know when things last ran."
            # What was changed is told whether or not it is asked what is in order.
            yield Result("PM745", program.name, Level.WARNING, detail, hint)
        if schedule and schedule.problem:
            version = app.versions.get("celery", "") if app else ""
            mends = not schedule.opens or (bool(version) and numbers(version) >= MENDS_ITSELF)
            what = "removes it and begins a new one" if mends else "may end at every start"
            detail = f"beat cannot read {file} ({schedule.problem}) and {what}; when things last ran is not known then"
            hint = "procman check --set-aside-schedule renames it, so that beat begins a new one."
            yield Result("PM745", program.name, Level.WARNING if mends else Level.CRITICAL, detail, hint)


def beat_is_alone(preflight: PreflightFacts) -> Iterator[Result]:
    """No other beat of the app runs on this host: every periodic task would be sent twice."""
    for other in preflight.host.beats if preflight.of_kind(Kind.BEAT) else ():
        detail = (
            f"process {other.pid} of {other.user} is another beat of {other.app or 'an app'}, in {other.directory}: "
            f"with ours every periodic task is sent twice ({other.command})"
        )
        hint = "Stop it, and keep it from starting again."
        if preflight.host.manager.adoption:
            hint = f"Stop it and keep it from starting again; {preflight.host.manager.adoption}."
        yield Result("PM746", preflight.of_kind(Kind.BEAT)[0].name, Level.WARNING, detail, hint)
