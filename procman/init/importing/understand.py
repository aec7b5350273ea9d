"""Find Celery's command behind what an existing program starts: a shell, a start script, a wrapper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from procman.celery_cli.parse import CeleryCommand, read_command
from procman.celery_cli.script_file import ScriptFile, script_started_by
from procman.celery_cli.start_script import StartScript, read_script
from procman.init.importing.existing import Remark


@dataclass(frozen=True)
class Understood:
    """What an existing program starts; the fields are those of `Existing`."""

    words: tuple[str, ...]
    """The effective command: of a start script, the command that it finally runs."""
    command: CeleryCommand | None = None
    """None: not a worker or beat, or it could not be understood (`problem`)."""
    problem: str = ""
    """Why a program that does start Celery cannot be imported."""
    wrapper: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The variables that reach Celery, without those of `environment_files`."""
    environment_files: tuple[Path, ...] = ()
    directory: Path | None = None
    """Where Celery is started; None: unknown."""
    user: str | None = None
    """The user that a wrapper changes to."""
    values: Mapping[str, object] = field(default_factory=dict)
    """Keys that the script or wrapper sets, such as umask or nice."""
    remarks: tuple[Remark, ...] = ()


def understood(
    words: Sequence[str], environment: Mapping[str, str], directory: Path | None, *, place: str
) -> Understood:
    """Return what `words`, which a program starts in `directory` with `environment`, finally run.

    `place` is where the program is defined, such as `/etc/supervisor/conf.d/celery.conf:12`, for the remarks.
    """
    command = read_command(words)
    if command:
        return _of(words, command, environment, directory)
    file = script_started_by(words, directory or Path("/"))
    if file is None or "celery" not in file.text:
        return Understood(tuple(words), environment=environment, directory=directory)
    return _behind_script(file, environment, directory, place)


def _of(
    words: Sequence[str], command: CeleryCommand, environment: Mapping[str, str], directory: Path | None
) -> Understood:
    return Understood(tuple(words), command, environment={**environment, **command.environment}, directory=directory)


def _behind_script(file: ScriptFile, environment: Mapping[str, str], directory: Path | None, place: str) -> Understood:
    script = read_script(file.text, directory or Path("/"), environment)
    where = str(file.path or place)
    remarks = tuple(_remark(where, each) for each in script.not_understood)
    command = read_command(script.words)
    if command is None:
        problem = f"no Celery worker or beat found in the start script {file.path}" if file.path else "not understood"
        return Understood((file.name, *file.arguments), None, problem, remarks=remarks)
    if script.virtualenv:
        command.project.setdefault("virtualenv", str(script.virtualenv))
    if script.umask:
        command.values.setdefault("umask", script.umask)
    started = script.directory if script.directory != Path("/") else directory
    return Understood(
        script.words,
        command,
        environment={**script.environment, **command.environment},
        directory=started,
        remarks=remarks + tuple(_consequences(script, where)),
    )


def _remark(where: str, message: str) -> Remark:
    line, _, what = message.removeprefix("line ").partition(": ")
    return Remark(f"{where}:{line}", what, "procman does not run the script", doubtful=True)


def _consequences(script: StartScript, where: str) -> list[Remark]:
    remarks = [Remark(where, each, "the process manager keeps and rotates the log") for each in script.redirections]
    if not script.uses_exec:
        what = "a shell without exec"
        remarks.append(Remark(where, what, "a stop reached only the shell, and Celery kept running", changed=True))
    return remarks
