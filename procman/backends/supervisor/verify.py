"""Read a rendering as supervisord will, merged with all other files it reads, before it is installed (R6)."""

from __future__ import annotations

import pwd
import signal
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from procman.backends import watcher
from procman.backends.supervisor.configuration import includes
from procman.backends.supervisor.configuration.merged import Configuration, assemble
from procman.backends.supervisor.configuration.sections import PROGRAM_KINDS, Section, read_sections, sections_of
from procman.backends.supervisor.configuration.supervisor_parser import Process, Reading, Source, Unreadable, read
from procman.backends.supervisor.configuration.takeover import remaining
from procman.backends.supervisor.reload import locate_error
from procman.backends.supervisor.verify_systemd_unit import problems_of_unit
from procman.backends.supervisor.verify_user import problems_of_users
from procman.errors import ProcmanError
from procman.model import MARKER
from procman.project import Command, Project, Rendering

__all__ = ["remaining", "unread", "verify"]

_OTHER_SUPERVISORD = (
    'In [supervisor], set mode = "existing" and configuration to the supervisord.conf of the one that reads it; or '
    "stop the programs there, move the file away, and omit --replace."
)

CONTRACT: Mapping[str, object] = {"stopasgroup": False, "killasgroup": True}
"""The options that keep running tasks alive; a changed template must keep them (R7)."""


def verify(
    project: Project,
    rendering: Rendering,
    removed: Iterable[Path] = (),
    adopted: Mapping[Path, str | None] | None = None,
) -> list[str]:
    """Return the problems that supervisord would have, including files that this user cannot read."""
    try:
        configuration = assemble(project.supervisor, rendering, [*removed], adopted or {})
    except ProcmanError as error:
        return [error.in_one_line]
    checks = (_not_included, _files_of_ours, _files_of_others, _clashes)
    problems = [problem for check in checks for problem in check(configuration)]
    problems += [*problems_of_users(project, rendering, configuration.main), *problems_of_unit(project, rendering)]
    # supervisor's parser stops at the first problem, so with problems it would add nothing.
    return list(dict.fromkeys(problems or _merged(project, configuration, rendering)))


def unread(project: Project, rendering: Rendering, files: Iterable[Path]) -> list[str]:
    """Return why `files` cannot be adopted. Raises ProcmanError if the configuration cannot be read."""
    main = assemble(project.supervisor, rendering, [], {}).main
    ours = {includes.real(file.path) for file in rendering.files}
    return [
        f"{file} is not read by the supervisord of {main.path}: programs that another supervisord runs from it would "
        f"keep running beside procman's. {_OTHER_SUPERVISORD}"
        for file in files
        if includes.real(file) not in ours and not includes.is_read(file, main)
    ]


def _not_included(configuration: Configuration) -> Iterator[str]:
    """Yield a problem if supervisord would not find procman's files."""
    main = configuration.main
    read_twice = [source.path for source in configuration.included]
    for path in configuration.ours:
        if path not in read_twice:
            files = " ".join([*main.includes, configuration.include])
            yield (
                f"{main.path}: supervisord would not read {path}: set under [include] there: files = {files}"
                if main.includes
                else f"{main.path}: supervisord would not read {path}: add two lines to the main file: [include] and "
                f"files = {configuration.include}"
            )
            return


def _files_of_ours(configuration: Configuration) -> Iterator[str]:
    """Yield sections in procman's files that affect more than its programs; only a changed template can add them."""
    for path, file in configuration.ours.items():
        for section in sections_of(file.content):
            if section.kind not in PROGRAM_KINDS:
                yield f"{path}: [{section.header}] is not allowed here: fix the template"


def _files_of_others(configuration: Configuration) -> Iterator[str]:
    """Yield the problems of each unmanaged file on its own."""
    for pattern in configuration.main.includes:
        yield from _unlistable(Path(pattern).parent)
    for source in configuration.others:
        try:
            text = _text(source)
            if text is not None:
                read_sections(source.path, text)
        except UnicodeDecodeError as error:
            yield f"{source.path}: supervisord cannot read it: byte {error.start} is not UTF-8; fix that file"
        except OSError as error:
            yield f"{source.path}: cannot be read ({error.strerror}), so nothing can be verified: run with sudo"
        except ProcmanError as error:
            yield error.in_one_line


def _unlistable(directory: Path) -> Iterator[str]:
    try:
        next(directory.iterdir(), None)
    except PermissionError as error:
        yield f"{directory}: cannot be read ({error.strerror}), so nothing can be verified: run with sudo"
    except OSError:
        # Missing, or a pattern itself: supervisord finds nothing there either.
        return


def _text(source: Source) -> str | None:
    """Return the content of `source`; None for entries that supervisord skips, such as a directory or a broken link."""
    if source.content is not None:
        return source.content
    try:
        return source.path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError):
        return None


def _clashes(configuration: Configuration) -> Iterator[str]:
    """Yield unmanaged sections that name a program of procman's: supervisord silently merges or groups them."""
    names = set(configuration.names)
    for source in (configuration.main_source, *configuration.others):
        for section in _sections(source):
            clash = _clash(section, names)
            if clash:
                yield f"{source.path}:{section.line}: {clash}; {_remedy(source)}"


def _remedy(source: Source) -> str:
    if MARKER in (_text(source) or "").partition("\n")[0]:
        return "the file belongs to another project of procman: rename one of the two"
    return f"adopt it with `procman install --replace {source.path}`, or fix the file"


def _clash(section: Section, names: set[str]) -> str:
    if section.kind in PROGRAM_KINDS and section.name in names:
        return f"[{section.header}] defines a program that procman installs"
    if section.kind == "group":
        members = sorted(names.intersection(section.members()))
        if members:
            return f"[{section.header}] adds {', '.join(members)} to a group, which changes the name of the program"
        if section.name in names:
            return f"[{section.header}] has the name of a program that procman installs"
    return ""


def _sections(source: Source) -> list[Section]:
    try:
        return sections_of(_text(source) or "")
    except (OSError, UnicodeDecodeError):
        return []


def _merged(project: Project, configuration: Configuration, rendering: Rendering) -> Iterator[str]:
    """Yield errors of supervisor's own parser, programs unlike their files, and changed unmanaged programs."""
    directories = [directory.path for directory in rendering.directories]
    ours = [source for source in configuration.included if source.path in configuration.ours]
    try:
        before = read(configuration.main_source, configuration.others, directories)
    except Unreadable as error:
        yield _refused(str(error), configuration, "fix it first")
        return
    try:
        alone = read(Source(configuration.main.path, "[supervisord]\n"), ours, directories)
        merged = read(configuration.main_source, configuration.included, directories)
    except Unreadable as error:
        yield _refused(str(error), configuration, "see procman.toml and the templates")
        return
    for name in configuration.names:
        yield from _program(name, project, alone, _without(before, merged), configuration)
    yield from _others(before, merged, set(configuration.names))
    yield from (warning for warning in merged.warnings if any(f":{name}]" in warning for name in configuration.names))


def _without(before: Reading, merged: Reading) -> Reading:
    """Return what `merged` adds: a process of an unmanaged program may have the name of one of procman's."""
    known = {(each.group, each.name) for each in before.processes}
    return Reading(tuple(each for each in merged.processes if (each.group, each.name) not in known), ())


def _refused(text: str, configuration: Configuration, remedy: str) -> str:
    contents = {source.path: _text(source) for source in (configuration.main_source, *configuration.included)}
    where = locate_error(text, contents) or configuration.main.path
    return f"{where}: supervisord would not start with this file: {text}; {remedy}"


def _program(
    name: str, project: Project, alone: Reading, merged: Reading, configuration: Configuration
) -> Iterator[str]:
    file = next(path for path, rendered in configuration.ours.items() if name in rendered.programs)
    expected, found = _processes_of(name, alone), _processes_of(name, merged)
    is_watcher = name.endswith(f"-{watcher.KEY}") and [each.kind for each in expected] == ["EventListenerPoolConfig"]
    kind = "EventListenerPoolConfig" if is_watcher else "ProcessGroupConfig"
    if [(each.group, each.name, each.kind) for each in expected] != [(name, name, kind)]:
        yield f"{file}: must define the program {name}, only that, once and without a group: fix the template"
        return
    for option, value in _promised(name, project).items():
        if expected[0].fields[option] != value:
            shown = getattr(value, "name", str(value).lower())
            yield f"{file}: {option} must be {shown}, or a stop loses running tasks: fix the template"
    if [(each.group, each.name, each.kind) for each in found] != [(name, name, kind)]:
        where = ", ".join(f"{each.group}:{each.name}" for each in found) or "nowhere"
        yield f"{file}: supervisord would read {name} as {where}; see {_defaults(configuration)}"
        return
    for option, value in expected[0].fields.items():
        if found[0].fields[option] != value:
            yield (
                f"{file}: supervisord would read {option}={_shown(option, found[0])} for {name} instead of "
                f"{_shown(option, expected[0])}, because of another file: see {_defaults(configuration)}"
            )


def _promised(name: str, project: Project) -> dict[str, object]:
    """Return the options that the section of the program `name` must have; a command may have its own stop."""
    program = next((each for each in project.programs if each.name == name), None)
    command = program.options if program else None
    if not program or not isinstance(command, Command):
        return {**CONTRACT}
    is_group = program.supervisor_options.get("stopasgroup") == "true"
    return {**CONTRACT} | {"stopasgroup": is_group, "stopsignal": signal.Signals[f"SIG{command.stop_signal}"]}


def _processes_of(name: str, reading: Reading) -> list[Process]:
    """Return the processes defined by a section `name`."""
    return [each for each in reading.processes if name in (each.group, each.name)]


def _shown(option: str, process: Process) -> str:
    value = process.fields[option]
    if option == "uid" and value is not None:
        return pwd.getpwuid(value).pw_name
    return getattr(value, "__name__", str(value))


def _defaults(configuration: Configuration) -> str:
    """Return where else options may come from: `[DEFAULT]` is merged into every section."""
    for source in (configuration.main_source, *configuration.included):
        for section in _sections(source):
            if section.kind == "DEFAULT":
                return f"[DEFAULT] in {source.path}:{section.line}"
    return str(configuration.main.path)


def _others(before: Reading, merged: Reading, names: set[str]) -> Iterator[str]:
    then = {(each.group, each.name): each for each in before.processes}
    now = {(each.group, each.name): each for each in merged.processes if each.group not in names}
    for key in sorted(then.keys() | now.keys()):
        if then.get(key) != now.get(key):
            what = "would be created" if key not in then else "would be removed" if key not in now else "would change"
            yield f"{':'.join(key)} is not managed by procman, but {what} through procman's files: fix the template"
