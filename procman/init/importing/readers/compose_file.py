"""Load a compose file: bounded, with its variables, its `extends` and the lines of its services."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from procman.backends.supervisor.configuration.effective import unknown
from procman.errors import ProcmanError
from procman.init.importing.contents import content_of
from procman.init.importing.readers.dotenv_file import variables_in_dotenv
from procman.init.importing.texts import Texts

LARGEST = 1 << 18
"""Characters: the parser of PyYAML needs seconds for more."""
MOST_ALIASES = 500
MOST_MERGED = 2000
"""Keys that `<<` may bring into one mapping, which could double at every level."""
DEFAULT_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
"""With these, compose reads an override by itself."""

DEEPEST = 5
"""Services that extend each other."""

VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<name>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*)(?:(?P<operator>:?[-?+])(?P<other>[^{}]*))?\})"
)

Tree = Mapping[str, Any]


@dataclass
class Compose:
    """A compose file."""

    path: Path
    services: Tree
    lines: Mapping[str, int]
    variables: Mapping[str, str] = field(repr=False)
    """Of the `.env` beside it."""
    texts: Texts = field(repr=False)
    assumed: dict[str, str] = field(default_factory=dict, repr=False)
    """`${N:-2}`, and what it became because nothing sets N."""

    def text(self, value: object) -> str:
        """Return a scalar as compose writes it, with its variables; unknown ones are marked."""
        if value is None or isinstance(value, bool):
            return {None: "", True: "true", False: "false"}[value]
        return VARIABLE.sub(self._expanded, str(value))

    def _expanded(self, found: re.Match[str]) -> str:
        if found["escaped"]:
            return "$"
        name, operator = found["name"] or found["braced"], found["operator"] or ""
        value = self.variables.get(name)
        if operator.endswith("+"):
            return found["other"] if value else ""
        if value is None or (not value and operator.startswith(":")):
            if not operator.endswith("-"):
                return unknown(name)
            if value is None:
                self.assumed[found[0]] = found["other"]
            return found["other"]
        return value

    def service(self, name: str, depth: int = 0) -> Tree:
        """Return the service `name` with what it extends. Raises ProcmanError if that cannot be followed."""
        own = self.services.get(name)
        if not isinstance(own, Mapping):
            return {}
        extended = own.get("extends")
        if not extended:
            return own
        given = extended if isinstance(extended, Mapping) else {"service": extended}
        if depth >= DEEPEST:
            raise ProcmanError(f"{self.path}: service {name} extends itself", hint="Correct its extends.")
        file = self.path.parent / self.text(given["file"]) if given.get("file") else None
        if file and not file.exists():
            raise ProcmanError(f"{file} does not exist, and service {name} of {self.path} extends one of it")
        other = load(file, self.texts) if file else self
        return _merged(other.service(str(given.get("service")), depth + 1), own)


def load(path: Path, texts: Texts | None = None) -> Compose:
    """Return the compose file at `path`. Raises ProcmanError if it is none, or larger than any."""
    reads_as = texts or Texts.of_owner(path.parent)
    # A file that another one names is read like the project's other files.
    text = content_of(path) if texts is None else reads_as.read(path)
    if len(text) > LARGEST:
        raise ProcmanError(f"{path}: larger than {LARGEST} characters", hint="Name another file.")
    document, lines = _parsed(path, text)
    services = document.get("services") if isinstance(document, Mapping) else None
    if not isinstance(services, Mapping):
        raise ProcmanError(f"{path}: it has no services", hint="Name a compose file.")
    variables = variables_in_dotenv(reads_as.read(path.parent / ".env"))
    return Compose(path, {str(name): each for name, each in services.items()}, lines, variables, reads_as)


def load_all(path: Path) -> tuple[Compose, tuple[Path, ...]]:
    """Return the compose file at `path` with the override that compose reads with it, and the files that were read."""
    compose = load(path)
    overrides = [override_of(path)] if path.name in DEFAULT_NAMES and override_of(path).exists() else []
    for each in overrides:
        other = load(each, compose.texts)
        services = dict(compose.services)
        for name, own in other.services.items():
            before = services.get(name)
            if isinstance(before, Mapping) and isinstance(own, Mapping):
                services[name] = {**_merged(before, own), **_extends(before)}
            else:
                services[name] = own
        compose = replace(compose, services=services, lines={**other.lines, **compose.lines})
    return compose, (path, *overrides)


def override_of(path: Path) -> Path:
    """Return the path of the override of a compose file: `compose.override.yaml` of `compose.yaml`."""
    return path.with_name(f"{path.stem}.override{path.suffix}")


def _extends(service: Any) -> Tree:
    return {"extends": service["extends"]} if "extends" in service else {}


def _merged(base: Tree, own: Tree) -> Tree:
    found = {**base, **own}
    for key in ("environment", "labels"):
        if key in base and key in own:
            found[key] = {**pairs(base[key]), **pairs(own[key])}
    if "env_file" in base and "env_file" in own:
        found["env_file"] = [*listed(base["env_file"]), *listed(own["env_file"])]
    return {key: value for key, value in found.items() if key != "extends"}


def listed(value: object) -> list[Any]:
    """Return a list as it is, nothing as an empty list, and anything else as a list of it."""
    return value if isinstance(value, list) else [] if value is None else [value]


def pairs(value: object) -> dict[str, Any]:
    """Return a mapping, which may be written as a list of NAME=VALUE; NAME alone has no value."""
    if isinstance(value, Mapping):
        return {str(name): each for name, each in value.items()}
    split = [str(each).partition("=") for each in listed(value)]
    return {name: text if equals else None for name, equals, text in split}


def _parsed(path: Path, text: str) -> tuple[Any, dict[str, int]]:
    try:
        import yaml  # noqa: F401
    except ImportError:
        raise ProcmanError(
            f"{path}: PyYAML, which reads compose files, is not installed",
            hint="Install it: pip install 'celery-procman[containers]'",
        ) from None
    from procman.init.importing.readers.bounded_yaml import Bounds, BoundsExceeded, YamlProblem, parse

    try:
        return parse(text, Bounds(MOST_ALIASES, MOST_MERGED))
    except BoundsExceeded as error:
        raise ProcmanError(f"{path}: {error}", hint="Name another file.") from None
    except YamlProblem as error:
        raise ProcmanError(f"{path}:{error.line}: this is not YAML: {error}", hint="Correct that line.") from None
