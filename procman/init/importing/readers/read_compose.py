"""Read the services of a compose file (`init --from compose.yaml`), as far as they do not depend on their image."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from procman.accounts import user_name
from procman.backends.supervisor.configuration.effective import unknown_names
from procman.celery_cli.parse import CeleryCommand
from procman.celery_cli.shell_expansion import shown
from procman.config.read_programs import DEFAULT_STOP_TIMEOUT_SECONDS
from procman.init.importing.existing import Existing, Reading, Remark, Stop
from procman.init.importing.keys import signal_name
from procman.init.importing.readers.compose_file import Compose, Tree, listed, load_all, override_of, pairs
from procman.init.importing.readers.dotenv_file import variables_in_dotenv
from procman.init.importing.readers.multi_nodes import with_nodes
from procman.init.importing.readers.unknown_words import known_words
from procman.init.importing.understand import WITHOUT_EXEC, understood, with_understood
from procman.init.importing.variables_files import parsed
from procman.model import Kind

LOOKS_LIKE_CELERY = re.compile(r"(?i)celery|worker|beat")
SPAN = re.compile(r"(\d+(?:\.\d+)?)(h|ms|us|m|s)")
SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 0.000001}
DEFAULT_GRACE = 10
RESTARTS = {"always": "always", "unless-stopped": "always", "on-failure": "on-failure"}
FORM = "${{{}}}"

READ = {
    *(
        "command",
        "entrypoint",
        "environment",
        "env_file",
        "user",
        "stop_signal",
        "stop_grace_period",
        "scale",
        "deploy",
    ),
    *(
        "image",
        "build",
        "container_name",
        "restart",
        "init",
        "profiles",
        "labels",
        "pull_policy",
        "platform",
        "extends",
    ),
    *("working_dir", "tty", "stdin_open", "annotations", "develop"),
}
"""Keys that are imported, or mean nothing without a container."""

LEFT_OUT = {
    "depends_on": "procman starts Celery at once, which waits for its broker",
    "healthcheck": "procman checks the health of Celery itself",
    "logging": "the log is that of the process manager",
    "volumes": "files in volumes are elsewhere on this host",
    "hostname": "%h is the name of this host",
}
NETWORK = (
    "there is no network of containers: this host must reach the broker and the database under their own addresses"
)
LIMITS = "limits of a container: a directive of the unit can set one, such as MemoryMax"
OTHERS = "no key of procman sets it"


@dataclass
class _Variables:
    """The variables of a service."""

    own: dict[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    of_files: dict[str, str] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)


def read(files: Sequence[Path], _: Mapping[str, str], root: Path = Path("/")) -> Reading:  # noqa: ARG001
    """Return the services of the compose files `files`. Raises ProcmanError, also if PyYAML is not installed."""
    given = [file.absolute() for file in files]
    own = [file for file in given if file not in map(override_of, given)]
    readings = [_read(*load_all(file)) for file in own]
    return Reading(
        tuple(program for each in readings for program in each.programs),
        tuple(remark for each in readings for remark in each.remarks),
        tuple(file for each in readings for file in each.files),
    )


def _read(compose: Compose, read_with: Sequence[Path]) -> Reading:
    programs = [each for name in compose.services for each in with_nodes(_program(compose, name))]
    files = {file for each in programs for file in each.environment_files}
    remarks = list[Remark]()
    if any(each.command for each in programs):
        why = "they do not exist on this host: directory and virtualenv have to be filled in"
        remarks.append(Remark(str(compose.path), "the paths in the containers", why, doubtful=True))
    return Reading(tuple(programs), tuple(remarks), (*read_with, *sorted(files)))


def _program(compose: Compose, name: str) -> Existing:
    service = compose.service(name)
    place = f"{compose.path}:{compose.lines.get(name, 0)}"
    compose.assumed.clear()
    entrypoint, command = (_words(compose, service.get(key)) for key in ("entrypoint", "command"))
    words, lost = known_words([*entrypoint, *command], FORM)
    variables = _variables(compose, service, place)
    found = understood(words, {**variables.of_files, **variables.own}, None, place=place, sees_files=False)
    line, label = compose.lines.get(name, 0), f"service {name} of {compose.path}"
    whole = Existing(label, name, compose.path, line, found.words or tuple(words))
    if found.command is None:
        return replace(whole, problem=found.problem or _problem(name, service, words))
    user, group, more = _user(compose, service, place)
    stop = _stop(compose, service, through_shell=any(each.what == WITHOUT_EXEC for each in found.remarks))
    own = {name: value for name, value in found.environment.items() if variables.of_files.get(name) != value}
    remarks = [
        *(Remark(place, each.text, _from(each.names), doubtful=True) for each in lost),
        *_assumed(compose, place),
        *found.remarks,
        *variables.remarks,
        *more,
        *_left_out(compose, service, place),
        *_other_services(compose, {**variables.of_files, **own}, place),
    ]
    return replace(
        with_understood(replace(whole, user=user, group=group), found),
        command=_without_paths(found.command),
        environment=own,
        environment_files=variables.files,
        # Its paths are those in the container.
        directory=None,
        values={**found.values, **_values(compose, service, found.command.kind, stop)},
        stop=stop,
        remarks=tuple(dict.fromkeys(remarks)),
    )


def _from(names: Sequence[str]) -> str:
    return f"{names[0]} comes from the environment of compose, which is unknown here"


def _words(compose: Compose, value: object) -> list[str]:
    if isinstance(value, list):
        return [compose.text(each) for each in value]
    try:
        return shlex.split(compose.text(value))
    except ValueError:
        # compose refuses it.
        return []


def _problem(name: str, service: Tree, words: Sequence[str]) -> str:
    """Return why a service that looks like one of Celery is not understood; empty if it does not."""
    if not LOOKS_LIKE_CELERY.search(f"{name} {' '.join(words)}"):
        return ""
    if not words:
        return "its command is that of its image, which is unknown here"
    if Path(words[0]).name == "celery" and not {"worker", "beat", "multi"} & {*words}:
        return ""
    is_script = words[0].endswith(".sh") or (len(words) > 1 and words[1].endswith(".sh")) or "entrypoint" not in service
    if is_script and not re.search(r"rq|dramatiq|huey|gunicorn|uvicorn", " ".join(words)):
        return f"its command {words[0]} is in its image, which cannot be read here"
    return ""


def _without_paths(command: CeleryCommand) -> CeleryCommand:
    project = {key: value for key, value in command.project.items() if key not in ("virtualenv", "directory")}
    return replace(command, project=project, schedule_file=None)


def _variables(compose: Compose, service: Tree, place: str) -> _Variables:
    found = _Variables()
    for name, value in pairs(service.get("environment")).items():
        text = compose.variables.get(name) if value is None else compose.text(value)
        if text is None or unknown_names(text):
            names = unknown_names(text or "") or [name]
            found.remarks.append(Remark(place, f"environment {name}", _from(names), doubtful=True))
        else:
            found.own[name] = text
    is_usable = True
    for each in listed(service.get("env_file")):
        is_usable &= _take_file(compose, found, each, place)
    if is_usable and all(found.own.get(name, value) == value for name, value in found.of_files.items()):
        found.own = {name: value for name, value in found.own.items() if name not in found.of_files}
    else:
        found.own, found.files, found.of_files = {**found.of_files, **found.own}, (), {}
    return found


def _take_file(compose: Compose, found: _Variables, entry: Any, place: str) -> bool:
    """Add the variables of an `env_file`; return whether procman reads the file in the same way."""
    given = entry if isinstance(entry, Mapping) else {"path": entry}
    path = compose.path.parent / compose.text(given.get("path"))
    text = compose.texts.read(path)
    if not text:
        if given.get("required") is not False or path.exists():
            why = "it cannot be read, and its variables are unknown"
            found.remarks.append(Remark(place, f"env_file {given.get('path')}", why, doubtful=True))
        return True
    file, values = parsed(path, text), variables_in_dotenv(text)
    expanded = {name: compose.text(value) for name, value in values.items()}
    for name, value in expanded.items():
        if unknown_names(value):
            found.remarks.append(Remark(str(path), name, _from(unknown_names(value)), doubtful=True))
    found.of_files |= {name: value for name, value in expanded.items() if not unknown_names(value)}
    found.files = (*found.files, path)
    return file.is_usable and file.variables == expanded


def _user(compose: Compose, service: Tree, place: str) -> tuple[str | None, str | None, list[Remark]]:
    text = compose.text(service.get("user"))
    user, _, group = text.partition(":")
    if not user or user in ("0", "root") or unknown_names(text):
        return None, None, []
    name = user_name(int(user)) if user.isdecimal() and len(user) < 10 else user
    if name.isdecimal():
        return None, None, [Remark(place, f"user {text}", "this host has no user of this number", doubtful=True)]
    return name, None if group.isdecimal() else group or None, []


def _stop(compose: Compose, service: Tree, *, through_shell: bool) -> Stop:
    given = service.get("stop_grace_period")
    seconds = DEFAULT_GRACE if given is None else seconds_of(compose.text(given))
    restart = compose.text(service.get("restart")).partition(":")[0]
    return Stop(
        signal_name(compose.text(service.get("stop_signal")) or "TERM"),
        seconds,
        "shell" if through_shell else "main",
        RESTARTS.get(restart, "never"),
    )


def seconds_of(text: str) -> int:
    """Return a time of Compose, such as `1m30s`, in seconds."""
    if text.isdecimal():
        return int(text[:9])
    return round(sum(float(number[:9]) * SECONDS[unit] for number, unit in SPAN.findall(text)))


def _values(compose: Compose, service: Tree, kind: Kind, stop: Stop) -> dict[str, object]:
    found: dict[str, object] = {}
    seconds = 0 if service.get("stop_grace_period") is None else stop.seconds or 0
    if seconds >= DEFAULT_STOP_TIMEOUT_SECONDS[kind.value]:
        found["stop_timeout_seconds"] = seconds
    deploy = service.get("deploy")
    replicas = (deploy.get("replicas") if isinstance(deploy, Mapping) else None) or service.get("scale")
    text = compose.text(replicas)
    if kind is Kind.WORKER and text.isdecimal() and len(text) < 4 and int(text) > 1:
        found["instances"] = int(text)
    return found


def _assumed(compose: Compose, place: str) -> Iterator[Remark]:
    for text, value in compose.assumed.items():
        is_shown = shown(text) == text
        known = repr(value) if is_shown else "***"
        yield Remark(place, shown(text), f"it is {known}, because nothing sets this variable here", changed=True)


def _left_out(compose: Compose, service: Tree, place: str) -> Iterator[Remark]:
    if "entrypoint" not in service:
        why = "unknown here: what they set, or run before Celery, is not imported"
        yield Remark(str(compose.path), "ENTRYPOINT and ENV of the images", why, doubtful=True)
    deploy = service.get("deploy")
    if isinstance(deploy, Mapping) and "resources" in deploy:
        yield Remark(place, "deploy.resources", LIMITS)
    for key in service:
        if key in READ or str(key).startswith("x-"):
            continue
        network = key in (
            "networks",
            "network_mode",
            "ports",
            "expose",
            "links",
            "external_links",
            "extra_hosts",
            "dns",
        )
        limits = re.match(r"mem|cpu|ulimits|pids|oom|shm|blkio|cap_|security|privileged|sysctls", str(key))
        yield Remark(place, str(key), NETWORK if network else LIMITS if limits else LEFT_OUT.get(str(key), OTHERS))


def _other_services(compose: Compose, variables: Mapping[str, str], place: str) -> Iterator[Remark]:
    """Yield a remark for each variable with an address of another service, without its value (S2)."""
    for name, value in variables.items():
        hosts = set(re.findall(r"(?:://|@)([\w.-]+)(?=[:/]|\Z)", value[:4096])) | {value}
        for service in sorted(hosts & set(compose.services)):
            why = f"{service} is a container, whose name this host does not know: write its address"
            yield Remark(place, name, why, doubtful=True)
