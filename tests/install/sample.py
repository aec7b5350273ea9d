"""A project with its files below one directory, and a process manager that only records its activations.

`python -m tests.install.sample BASE install one` does what the command does, for tests that kill it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

from procman.config.directories import directories_for
from procman.errors import ProcmanError
from procman.install.plan import removal
from procman.install.plan.apply import apply
from procman.install.plan.describe import installed_file, rendering_of
from procman.install.plan.plan import Plan, make_plan, make_removal
from procman.install.plan.removal import Remains
from procman.install.safe_fs.tree import Tree
from procman.install.state import generations
from procman.install.state.generations import read_installation
from procman.install.state.lock import hold_lock
from procman.install.state.manifest import Manifest, digest
from procman.model import (
    Action,
    Activation,
    BackendName,
    Directories,
    InstalledProgram,
    Kind,
    RenderedDirectory,
    Scope,
    SupervisorMode,
    SupervisorSettings,
)
from procman.project import RenderedFile, Rendering

ROOT = os.geteuid() == 0
OWNER = "root" if ROOT else None
SERVICE_USER = "nobody" if ROOT else None
OTHER = "[program:other]\ncommand=/bin/true\n"
CONFIGURATION = b'[project]\nname = "catmaid"\n'


@dataclass(frozen=True)
class Wish:
    """What a procman.toml might ask for."""

    programs: Mapping[str, str]
    """A mark in the section of each program, by name; programs whose name ends in "beat" are beats."""
    script: str = "exec celery"
    launcher: str = "import celery"


DESIRED_STATES = {
    "one": Wish({"catmaid-celery": "first", "catmaid-beat": "first"}),
    "two": Wish({"catmaid-celery": "second", "catmaid-crop": "first"}, launcher="import celery.again"),
    "none": Wish({}),
}


def directories(base: Path, project: str = "catmaid") -> Directories:
    """Return the directories of a project on the host below `base`."""
    real = directories_for(project, Scope.SYSTEM, {})
    return Directories(**{field.name: base / getattr(real, field.name).relative_to("/") for field in fields(real)})


def make_host(base: Path) -> Path:
    """Create a host without procman, with an unmanaged file in each directory; return `base`."""
    for name in ("etc/supervisor/conf.d", "var/lib", "var/log"):
        (base / name).mkdir(parents=True)
        (base / name / "other.conf").write_text(OTHER)
    return base


def section_path(base: Path, program: str) -> Path:
    """Return the section file of `program`."""
    return base / "etc/supervisor/conf.d" / f"{program}.conf"


def unit_path(base: Path, program: str) -> Path:
    """Return the unit of `program`; unlike a real project, this one has units and sections, to test both readers."""
    return directories(base).units / f"{program}.service"


def script_path(base: Path, program: str) -> Path:
    """Return the start script of `program`."""
    return directories(base).configuration / f"{program}.sh"


def installed(base: Path, name: str) -> InstalledProgram:
    """Return the program `name` as a manifest records it."""
    kind = Kind.BEAT if name.endswith("beat") else Kind.WORKER
    log = directories(base).logs / f"{name}.log"
    return InstalledProgram(name, name, kind, True, 600, 10, True, SERVICE_USER, str(log))


def rendering(base: Path, wish: Wish, name: str = "catmaid") -> Rendering:
    """Return the files for `wish`, in the form of supervisord's."""
    places, text = directories(base, name), f"; Written by procman for {name}\n"
    folders = [
        *(RenderedDirectory(path, 0o755, OWNER, None, shared=True) for path in (places.shared_configuration,)),
        RenderedDirectory(places.library.parent, 0o755, OWNER, None, shared=True),
        *(RenderedDirectory(path, 0o755, OWNER, None) for path in (places.configuration, places.library, places.logs)),
        RenderedDirectory(places.state, 0o755, OWNER, None),
        RenderedDirectory(places.state / "run", 0o755, OWNER, None),
        *(RenderedDirectory(places.run(program), 0o750, SERVICE_USER, None) for program in wish.programs),
        RenderedDirectory(places.data, 0o750, SERVICE_USER, None),
    ]
    names = tuple(wish.programs)
    files = [
        RenderedFile(places.library / "launcher.py", wish.launcher, 0o644, OWNER, None, names, restarts=False),
        RenderedFile(
            places.shared_configuration / "shared.conf", text[:20], 0o644, OWNER, None, (), restarts=False, shared=True
        ),
    ]
    for program, section in wish.programs.items():
        script = places.configuration / f"{program}.sh"
        files += [
            RenderedFile(script, f"#{text}{wish.script}\n", 0o755, OWNER, None, (program,)),
            _section(section_path(base, program), f"{text}[program:{program}]\ncommand={script}", section),
            _section(unit_path(base, program), f"{text}[Service]\nExecStart=/bin/true", section),
        ]
    return Rendering(tuple(folders), tuple(files))


def _section(path: Path, text: str, mark: str) -> RenderedFile:
    program = path.stem
    # Both supervisord and systemd ignore a key that begins with X- (systemd.unit(5)).
    return RenderedFile(path, f"{text}\nX-mark={mark}\n", 0o640, OWNER, None, (program,), section=True)


def manifest(
    base: Path, wish: Wish, files: Rendering, name: str = "catmaid", configuration: bytes = CONFIGURATION
) -> Manifest:
    """Return the manifest of `wish`, before a comparison with the disk."""
    places = directories(base, name)
    programs = tuple(installed(base, program) for program in wish.programs)
    return Manifest(
        procman="1",
        project=name,
        scope=Scope.SYSTEM if ROOT else Scope.USER,
        backend=BackendName.SUPERVISOR,
        configuration_file=base / "procman.toml",
        configuration_digest=digest(configuration),
        templates_digest="0",
        directories=places,
        supervisor=SupervisorSettings(SupervisorMode.EXISTING, base / "etc/supervisord.conf", "conf.d/*.conf"),
        programs=programs,
        files=tuple(installed_file(file) for file in files.files),
        rendered_directories=files.directories,
        log_files=tuple(Path(program.log_file) for program in programs if program.log_file),
        schedule_files=tuple(places.data / "schedule" for program in programs if program.kind is Kind.BEAT),
    )


def plan(base: Path, wish: Wish, adopt: Mapping[Path, str | None] | None = None, name: str = "catmaid") -> Plan:
    """Return the plan for `wish`, as `procman diff` would."""
    files = rendering(base, wish, name)
    return plan_for(base, files, manifest(base, wish, files, name), adopt)


def plan_for(base: Path, files: Rendering, desired: Manifest, adopt: Mapping[Path, str | None] | None = None) -> Plan:
    """Return the plan for a rendering with its manifest."""
    with Tree() as tree:
        installation = read_installation(tree, directories(base, desired.project))
        return make_plan(files, desired, installation, tree, adopt=adopt)


def install(base: Path, wish: Wish, adopt: Mapping[Path, str | None] | None = None, name: str = "catmaid") -> Plan:
    """Do all that `procman install` does; the directory BASE/loaded is the process manager."""
    with hold_lock(directories(base, name).shared_state, 0, print):
        return install_locked(base, wish, adopt, name)


def install_locked(
    base: Path, wish: Wish, adopt: Mapping[Path, str | None] | None = None, name: str = "catmaid"
) -> Plan:
    """Do the same; the lock must be held."""
    with Tree() as tree:
        made = plan(base, wish, adopt, name)
        apply(tree, made, CONFIGURATION)
        activate(tree, base, directories(base, name))
    return made


def install_embedded(base: Path, wish: Wish, name: str = "catmaid") -> None:
    """Do the same with a directory for a supervisord that all projects share."""
    places = directories(base, name)
    place = RenderedDirectory(places.shared_state / "supervisor", 0o700, OWNER, None, shared=True)
    with hold_lock(places.shared_state, 0, print), Tree() as tree:
        plain = rendering(base, wish, name)
        files = Rendering((*plain.directories, place), plain.files)
        apply(tree, plan_for(base, files, manifest(base, wish, files, name)), CONFIGURATION)
        activate(tree, base, places)


def remove(base: Path, name: str = "catmaid", *, purge: bool = False) -> Remains:
    """Do all that `procman uninstall` does."""
    places = directories(base, name)
    with hold_lock(places.shared_state, 0, print), Tree() as tree:
        installation = read_installation(tree, places)
        if installation.latest:
            removal.remove_files(tree, make_removal(installation, tree))
            activate(tree, base, places)
        return removal.clear(tree, places, installation, purge=purge)


def foreign(base: Path) -> Path:
    """Return an unmanaged file to adopt, of which a comment remains."""
    return base / "etc/supervisor/conf.d/foreign.conf"


def adopt(base: Path, wish: Wish) -> Plan:
    """Do all that `procman install --replace` does with the file `foreign`."""
    return install(base, wish, adopt={foreign(base): "; foreign\n"})


def roll_back(base: Path, number: int, name: str = "catmaid") -> Plan:
    """Do all that `procman rollback NUMBER` does."""
    places = directories(base, name)
    with hold_lock(places.shared_state, 0, print), Tree() as tree:
        generation = generations.read_generation(tree, places.state, number)
        desired = replace(generation.manifest, brought_back=generations.origin(generation))
        files = rendering_of(tree, places.state, generation)
        known = read_installation(tree, places)
        later = removal.adopted_later(known, desired)
        made = make_plan(files, desired, known, tree, restore=removal.restorable(tree, places.state, later))
        apply(tree, made, generations.read_configuration(tree, places.state, number))
        activate(tree, base, places)
    return made


def activate(tree: Tree, base: Path, places: Directories) -> None:
    """Carry out the pending activations and record each."""
    pending = generations.read_pending(tree, places.state)
    for activation in pending.activations if pending else ():
        try:
            _load(base, activation)
        except OSError as error:
            raise ProcmanError(f"the process manager does not answer: {error}") from error
        generations.mark_done(tree, places.state, activation)


def loaded(base: Path) -> dict[str, str]:
    """Return what the process manager runs: the section and script of each program as they were when loaded."""
    return {path.name: path.read_text() for path in sorted((base / "loaded").glob("catmaid-*"))}


def _load(base: Path, activation: Activation) -> None:
    memory = base / "loaded" / activation.program.name
    memory.parent.mkdir(exist_ok=True)
    if activation.action is Action.REMOVE:
        memory.unlink(missing_ok=True)
    elif activation.action is not Action.ADD or not memory.exists():
        name = activation.program.name
        temporary = memory.with_suffix(".new")
        temporary.write_text(section_path(base, name).read_text() + script_path(base, name).read_text())
        temporary.rename(memory)


def _main(base: Path, command: str, wish: str) -> int:
    os.access("/procman-test-begins", os.F_OK)
    try:
        if command == "install":
            install(base, DESIRED_STATES[wish])
        elif command == "adopt":
            adopt(base, DESIRED_STATES[wish])
        elif command == "rollback":
            roll_back(base, int(wish))
        else:
            remove(base, purge=wish == "purge")
    except ProcmanError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def changed(wish: Wish, **sections: str) -> Wish:
    """Return `wish` with other marks in its sections; `celery="x"` changes `catmaid-celery`."""
    return replace(wish, programs={**wish.programs, **{f"catmaid-{key}": text for key, text in sections.items()}})


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
