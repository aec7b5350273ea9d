"""PM741 to PM747: beat's scheduler, its schedule file, and other health checks."""

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
from procman.probes.broker_remedies import TROUBLES
from procman.project import Beat, Program

MISSING = os.strerror(errno.ENOENT)

REPLACES_UNREADABLE = (5, 6)
"""From this Celery on, beat replaces any unreadable schedule; an older beat may exit on one that it can open."""


def _beats(preflight: PreflightFacts) -> Iterator[tuple[Program, Judged]]:
    for program in preflight.of_kind(Kind.BEAT):
        each = preflight.answer(program)
        yield program, each.judged.get(program.name, Judged()) if each else Judged()


def _files(preflight: PreflightFacts) -> Iterator[tuple[Program, Path]]:
    """Yield each beat that keeps a schedule file, with that file."""
    for program, judged in _beats(preflight):
        if isinstance(program.options, Beat) and program.options.schedule_file and judged.keeps_file is not False:
            yield program, program.options.schedule_file


def scheduler_is_imported(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM741."""
    for program, judged in _beats(preflight):
        if judged.scheduler_error:
            detail = f"the scheduler cannot be imported: {judged.scheduler_error}"
            hint = f"Install it in the virtualenv, or correct scheduler in [{program.key}] or the app's beat_scheduler."
            if "INSTALLED_APPS" in judged.scheduler_error:
                hint = "Add its Django app to INSTALLED_APPS in the app's settings, then run manage.py migrate."
            yield Result("PM741", program.name, Level.CRITICAL, detail, hint)
        elif judged.scheduler:
            yield Result("PM741", program.name, Level.OK, f"the scheduler is {judged.scheduler}")


def schedule_can_be_written(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM742: the directory exists or will be created, and the user can write to it."""
    for program, file in _files(preflight):
        place = preflight.places.get(file.parent)
        if place:
            yield Result("PM742", program.name, *_how_written(preflight, program, file.parent, place))


def _how_written(preflight: PreflightFacts, program: Program, directory: Path, place: Place) -> tuple[Level, str, str]:
    """Return level, detail and hint about the directory of a schedule."""
    user, correct = preflight.user, f"Correct schedule_file in [{program.key}]."
    kept = f"{directory}, where beat keeps its schedule"
    if place.exists and not place.is_directory:
        return Level.CRITICAL, f"{directory} is not a directory", correct
    if place.exists and not place.writable:
        hint = f"chown -h {user} {directory} && runuser -u {user} -- chmod u+rwx {directory}"
        return Level.CRITICAL, f"{user} cannot write to {kept}: beat would exit at every start", hint
    if place.exists:
        return Level.OK, f"{user} can write to {directory}", ""
    if place.problem not in ("", MISSING):
        hint = f"Check the owners and modes: namei -l {directory}"
        return Level.CRITICAL, f"{user} cannot reach {kept}: {place.problem}", hint
    if preflight.project.scope is Scope.USER and not place.above_writable:
        return Level.CRITICAL, f"{directory} does not exist, and you cannot create it", correct
    return Level.OK, f"the install creates {directory}", ""


def schedule_stays(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM743: no reboot removes the schedule, and it is not in a directory of the code."""
    for program, file in _files(preflight):
        directory = preflight.places.get(file.parent)
        if is_emptied_at_boot(file) or (directory and directory.in_memory):
            detail = f"{file.parent} is emptied at boot: beat then forgets when its tasks last ran"
            yield Result("PM743", program.name, Level.WARNING, detail, _elsewhere(preflight, program))
        code = [preflight.project.directory, *preflight.project.python_path]
        if any(file.is_relative_to(place) for place in code):
            detail = (
                f"{file} is in a directory of the code: whoever can write the schedule can also write code there, and "
                "the next release may remove it"
            )
            yield Result("PM743", program.name, Level.WARNING, detail, _elsewhere(preflight, program))


def _elsewhere(preflight: PreflightFacts, program: Program) -> str:
    beat, usual = program.options, preflight.project.directories.data
    if isinstance(beat, Beat) and beat.schedule_file and beat.schedule_file.parent == usual:
        return f'Set schedule_file = "PATH" in [{program.key}] to a path that survives a reboot.'
    return f"Remove schedule_file from [{program.key}]; the schedule is then kept in {usual}."


def schedule_is_the_users(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM744: a pickle runs code, so whoever can write the schedule can run code."""
    user = preflight.user
    for program, _ in _files(preflight):
        for path, place in preflight.schedule.files.items() if preflight.schedule else ():
            if not place.exists or not place.readable or not place.writable:
                # If it can, beat silently removes the file, and with it the times of the last runs.
                directory = preflight.places.get(path.parent)
                level = Level.WARNING if directory and directory.writable else Level.CRITICAL
                loss = "would remove it and forget when its tasks last ran"
                what = loss if level is Level.WARNING else "would exit at every start"
                detail = f"{user} cannot write to {path} (owner {place.owner or 'unknown'}): beat {what}"
                # The user may have put a link there, which root must not follow.
                hint = f"chown -h {user} {path} && runuser -u {user} -- chmod 0600 {path}"
                yield Result("PM744", program.name, level, detail, hint)
            elif place.mode & 0o022:
                detail = f"{path} has mode {place.mode:04o}: whoever writes to this pickle file can run code as {user}"
                yield Result("PM744", program.name, Level.WARNING, detail, f"chmod go-w {path}")


SCHEDULE_TROUBLES = {
    "tables": "a table cannot be read",
    "database": "the database cannot be used",
    "refusal": "Redis refuses its commands",
}
"""What keeps beat from a schedule that is not in a file; other kinds are those of a broker."""


def schedule_can_be_read(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM745."""
    for program, judged in _beats(preflight):
        if judged.schedule_trouble:
            trouble, error = judged.schedule_trouble, judged.schedule_error
            what = SCHEDULE_TROUBLES.get(trouble) or TROUBLES.get(trouble, "it cannot be used")
            detail = f"beat cannot read its schedule with {judged.scheduler}: {what} ({error}); it exits at every start"
            yield Result("PM745", program.name, Level.CRITICAL, detail, _schedule_remedy(preflight, judged))
        elif judged.schedule_trouble is not None:
            yield Result("PM745", program.name, Level.OK, f"beat can read its schedule with {judged.scheduler}")
    yield from _schedule_files_can_be_read(preflight)


def _schedule_remedy(preflight: PreflightFacts, judged: Judged) -> str:
    if judged.schedule_trouble == "tables":
        return preflight.migrate_hint
    if judged.schedule_trouble == "database":
        return "Start the database, or correct DATABASES in the app's settings."
    return "Start that server, or correct its URL in the app's settings (redbeat_redis_url)."


def _schedule_files_can_be_read(preflight: PreflightFacts) -> Iterator[Result]:
    schedule, app = preflight.schedule, preflight.facts()
    for program, file in _files(preflight):
        for old, new in schedule.set_aside if schedule else ():
            detail = f"{old} was renamed to {new}, because beat cannot read it"
            hint = "No action is needed: beat starts a new schedule, without the times when its tasks last ran."
            # A change must be reported even if only problems are shown.
            yield Result("PM745", program.name, Level.WARNING, detail, hint)
        if schedule and schedule.problem:
            version = app.versions.get("celery", "") if app else ""
            replaces = not schedule.opens or (bool(version) and numbers(version) >= REPLACES_UNREADABLE)
            what = "would start a new one" if replaces else "may exit at every start"
            detail = f"beat cannot read {file} ({schedule.problem}) and {what}; the times of the last runs are lost"
            hint = "Rename it, so that beat starts a new schedule: procman check --set-aside-schedule"
            yield Result("PM745", program.name, Level.WARNING if replaces else Level.CRITICAL, detail, hint)


def beat_is_restarted_by_procman_only(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM747: beat may answer a ping that another health check asks for."""
    for program, judged in _beats(preflight):
        if judged.answers_ping and program.heal:
            detail = (
                "beat answers celery inspect ping (--enable-remote-control, or the app's beat_enable_remote_control), "
                "and procman restarts an unhealthy beat: a health check that restarts it after a ping would interfere"
            )
            hint = f"Use the ping for alarms only, or set heal = false in [{program.key}]."
            yield Result("PM747", program.name, Level.WARNING, detail, hint)
