"""Read the command line of a Celery worker or beat into the keys of procman.toml."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from procman.celery_cli.node_names import with_name
from procman.celery_cli.running import BEAT_INSIDE
from procman.celery_cli.write import BEAT_KEYS, FORBIDDEN, OTHERS, PROJECT_KEYS, SHORT_FLAGS, WORKER_KEYS
from procman.model import Kind
from procman.project import AUTO
from procman.secrets import holds_password

LONG_FLAGS = {
    *("--events", "--task-events", "--without-gossip", "--without-mingle", "--without-heartbeat"),
    *("--detach", "--beat", "--purge", "--discard", "--no-color", "--quiet", "--skip-checks", "--disable-prefetch"),
    *("--enable-remote-control", "--no-enable-remote-control"),
}
"""Long options of Celery 4.4 to 5.7 that take no value."""

KNOWN = {*WORKER_KEYS, *BEAT_KEYS, *FORBIDDEN, *OTHERS[Kind.WORKER], *OTHERS[Kind.BEAT]}

VARIABLES = {
    **dict.fromkeys(("-b", "--broker"), "CELERY_BROKER_URL"),
    "--result-backend": "CELERY_RESULT_BACKEND",
}
"""The variables that Celery 4.4 to 5.7 reads before the app's own setting (celery.app.utils.Settings)."""

SCRIPTS = (".sh", ".bash")
"""How names of shell scripts end, which are in any directory called bin."""

OF_PASSWORDS = "it contains a password, and every user can read command lines: use environment_file"


@dataclass
class CeleryCommand:
    """A worker or beat as an existing command line starts it."""

    kind: Kind
    project: dict[str, object] = field(default_factory=dict)
    """The keys of `[project]`: app, directory, user, group, virtualenv."""
    values: dict[str, object] = field(default_factory=dict)
    """The other keys, with their TOML values."""
    dropped: dict[str, str] = field(default_factory=dict)
    """Options that procman does not adopt, each with the reason."""
    moved: dict[str, str] = field(default_factory=dict)
    """Options with a secret, each with the variable of `environment` that replaces it."""
    doubtful: dict[str, str] = field(default_factory=dict)
    """Options that could not be understood."""
    environment: dict[str, str] = field(default_factory=dict, repr=False)
    """Variables that are set before the command, for example with `env`, or that replace an option with a secret."""
    with_beat: bool = False
    """Whether the worker runs a beat (-B)."""
    schedule_file: str | None = None


def read_command(words: Sequence[str]) -> CeleryCommand | None:
    """Return the worker or beat that the command line `words` starts; None if it starts neither."""
    at = next((index for index, word in enumerate(words) if Path(word).name == "celery"), None)
    if at is None:
        return None
    end = words.index("--", at) if "--" in words[at:] else len(words)
    options = list(options_in(words[at + 1 : end]))
    commands = [value for name, value in options if not name]
    if not commands or commands[0] not in ("worker", "beat"):
        return None
    command = CeleryCommand(Kind(commands[0]), doubtful=dict.fromkeys(commands[1:], "Celery has no such option"))
    if not _take_prefix(command, list(words[:at])):
        return None
    if (virtualenv := _virtualenv(words[: at + 1])) is not None:
        command.project["virtualenv"] = str(virtualenv)
    for name, value in options:
        if name:
            _take(command, name, value)
    _take_settings(command, words[end + 1 :])
    return command


def _take_settings(command: CeleryCommand, words: Sequence[str]) -> None:
    """Keep the settings of the app, which follow `--`; one with a password is dropped."""
    kept = [word for word in words if not holds_password(word)]
    for word in words:
        if word not in kept:
            command.dropped[f"-- {word.partition('=')[0]}"] = OF_PASSWORDS
    if kept:
        others = command.values.setdefault("extra_arguments", [])
        assert isinstance(others, list)
        others += ["--", *kept]


def _take_prefix(command: CeleryCommand, words: list[str]) -> bool:
    """Read the words before `celery`; return False if they do more than start it."""
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if equals and name.isidentifier():
            command.environment[name] = value
        elif Path(word).name == "nice" and words[:1] == ["-n"] and words[1:2]:
            command.values["nice"] = int(words[1]) if words[1].isdecimal() else words[1]
            del words[:2]
        elif not re.fullmatch(r"env|exec|-m|python[0-9.]*", Path(word).name):
            return False
    return True


def _virtualenv(words: Sequence[str]) -> Path | None:
    return next((virtualenv_of(word) for word in words if re.fullmatch(r"/.*/bin/(celery|python[0-9.]*)", word)), None)


def virtualenv_of(program: str) -> Path | None:
    """Return the virtualenv that has `program` in its `bin`; None if that is a directory of the system, or unknown."""
    path = Path(program)
    if not path.is_absolute() or path.parent.name != "bin" or path.suffix in SCRIPTS:
        return None
    found = Path(os.path.normpath(path.parent.parent))
    return None if found in (Path("/usr"), Path("/"), Path("/usr/local")) else found


def options_in(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (option, value), and ("", word) for a word that does not belong to an option."""
    rest = deque(words)
    while rest:
        word = rest.popleft()
        if not word.startswith("-") or word == "-":
            yield "", word
        elif word.startswith("--"):
            name, equals, value = word.partition("=")
            name = _unabbreviated(name)
            # An option unknown to Celery is the app's own, and may be a flag.
            if not equals and name not in LONG_FLAGS and rest and (name in KNOWN or not rest[0].startswith("-")):
                value = rest.popleft()
            yield name, value
        elif word[1] in SHORT_FLAGS:
            if word[2:]:
                rest.appendleft(f"-{word[2:]}")
            yield word[:2], ""
        else:
            yield word[:2], word[2:].removeprefix("=") or (rest.popleft() if rest else "")


def _unabbreviated(name: str) -> str:
    """Return the long option that `name` is the beginning of, as Celery 4 accepts it (argparse): --queue, --concurr."""
    meant = {known for known in KNOWN if known.startswith(name)} if len(name) > 2 and name not in KNOWN else set()
    return meant.pop() if len(meant) == 1 else name


def _take(command: CeleryCommand, name: str, value: str) -> None:
    key = (WORKER_KEYS if command.kind is Kind.WORKER else BEAT_KEYS).get(name)
    variable = VARIABLES.get(name)
    if variable and value and (name in FORBIDDEN or holds_password(value)):
        command.environment[variable] = value
        command.moved[name] = variable
    elif name in FORBIDDEN:
        command.dropped[name] = FORBIDDEN[name]
        command.with_beat |= name in BEAT_INSIDE
    elif name in ("-s", "--schedule", "--schedule-filename"):
        command.schedule_file = value
    elif key in PROJECT_KEYS:
        command.project[key] = value
    elif key:
        try:
            command.values[key] = CONVERSIONS.get(key, str)(value)
        except ValueError:
            command.doubtful[f"{name} {value}"] = f"not a valid value for {key}"
    elif name in ("-C", "--no-color", "-q", "--quiet"):
        command.dropped[name] = "the log is not a terminal"
    elif holds_password(f"{name}={value}"):
        command.dropped[name] = OF_PASSWORDS
    else:
        extra = [f"{name}={value}"] if value and name.startswith("--") else [name, value] if value else [name]
        others = command.values.setdefault("extra_arguments", [])
        assert isinstance(others, list)
        others += extra


def _words(value: str) -> list[str]:
    return [word.strip() for word in value.split(",") if word.strip()]


def _autoscale(value: str) -> list[int]:
    most, _, fewest = value.partition(",")
    # Celery 5 accepts them in any order.
    return sorted((int(most), int(fewest or 0)), reverse=True)


def _seconds(value: str) -> float:
    number = float(value)
    return int(number) if number.is_integer() else number


def _concurrency(value: str) -> int | str:
    # Celery 5.7 accepts the word in any case.
    return AUTO if value.lower() == AUTO else int(value)


CONVERSIONS: Mapping[str, Callable[[str], object]] = {
    "loglevel": str.lower,
    "autoscale": _autoscale,
    "concurrency": _concurrency,
    "hostname": with_name,
    **dict.fromkeys(("queues", "exclude_queues"), _words),
    **dict.fromkeys(("prefetch_multiplier", "max_tasks_per_child"), int),
    **dict.fromkeys(("max_memory_per_child_kib", "max_interval_seconds"), int),
    **dict.fromkeys(("time_limit_seconds", "soft_time_limit_seconds"), _seconds),
    **dict.fromkeys(("events", "without_gossip", "without_mingle", "without_heartbeat"), lambda _: True),
}
"""Convert the text of an option to the value of a key. Raises ValueError for an invalid text."""
