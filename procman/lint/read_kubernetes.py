"""Read the containers in Kubernetes manifests, also those that Helm rendered, for the rules of `check --lint`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from procman.init.importing.readers.yaml_documents import YamlDocument, YamlPath, yaml_documents, yaml_text
from procman.lint.inputs import Container, Part, Probe, Reader, Recognised, Setting
from procman.lint.read_containers import started_in_container
from procman.lint.surroundings import flattened
from procman.model import Kind

TEMPLATES: dict[str, tuple[str, ...]] = {
    "Deployment": ("spec", "template", "spec"),
    "StatefulSet": ("spec", "template", "spec"),
    "DaemonSet": ("spec", "template", "spec"),
    "ReplicaSet": ("spec", "template", "spec"),
    "Job": ("spec", "template", "spec"),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
    "Pod": ("spec",),
}
"""Where each kind has its pod."""

AUTOSCALERS = {"HorizontalPodAutoscaler": ("maxReplicas", 1), "ScaledObject": ("maxReplicaCount", 100)}
"""The key of the greatest number of replicas, and its default."""

MOST_REPLICAS = 1_000_000
"""More is a mistake; a number of any length can be written."""

DEFAULT_GRACE_SECONDS = 30.0
REFERENCE = re.compile(r"\$\([^)]*\)")
VARIABLE = re.compile(r"[A-Za-z_][\w.-]*")
CONTAINERS = ("containers", "initContainers")
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


def kubernetes_parts(files: Sequence[Path]) -> list[Part]:
    """Return every container in `files`, and every ConfigMap; raise ProcmanError for a file that is no YAML."""
    documents = [(file, each) for file in files for each in yaml_documents(file, _content_of(file))]
    scaled = dict(each for file, document in documents for each in autoscaled(file, document))
    parts = [part for file, document in documents for part in _of_document(file, document)]
    return [_scaled(part, scaled) for part in parts]


def _scaled(part: Part, scaled: Mapping[str, Setting]) -> Part:
    most = scaled.get(part.name.rpartition("/")[0])
    return replace(part, container=replace(part.container, most_replicas=most)) if most else part


def _content_of(file: Path) -> str:
    text = yaml_text(file)
    # JSON may be indented with tabs, which YAML does not allow; its strings cannot contain any.
    return text.replace("\t", " ") if file.suffix == ".json" else text


def _of_document(file: Path, document: YamlDocument) -> Iterator[Part]:
    for path, found in objects(document.content, (*TEMPLATES, "ConfigMap")):
        if found["kind"] == "ConfigMap":
            yield _config_map(file, document.lines, path, found)
            continue
        where = TEMPLATES[found["kind"]]
        for key in CONTAINERS:
            for number, container in enumerate(_list(_at(found, *where, key))):
                if isinstance(container, Mapping):
                    at = (*path, *where, key, number)
                    yield _Reader(file, document.lines, path, found, at, container).part()


def objects(content: Any, kinds: Collection[str]) -> Iterator[tuple[YamlPath, Mapping[str, Any]]]:
    """Yield each object of one of the `kinds` with its path, those of a List in its place.

    Aliases may make a List part of itself, or multiply its items without end, so each object counts once.
    """
    waiting: list[tuple[YamlPath, Any]] = [((), content)]
    seen: set[int] = set()
    while waiting:
        path, found = waiting.pop()
        if not isinstance(found, Mapping) or id(found) in seen:
            continue
        seen.add(id(found))
        kind = found.get("kind")
        if kind == "List":
            waiting += reversed(
                [((*path, "items", number), item) for number, item in enumerate(_list(found.get("items")))]
            )
        elif isinstance(kind, str) and kind in kinds:
            yield path, found


def autoscaled(file: Path, document: YamlDocument) -> Iterator[tuple[str, Setting]]:
    """Yield what each autoscaler of the document scales, and how far."""
    for path, found in objects(document.content, AUTOSCALERS):
        key, default = AUTOSCALERS[found["kind"]]
        most = _at(found, "spec", key) if _at(found, "spec", key) is not None else default
        target = _at(found, "spec", "scaleTargetRef")
        kind = _at(target, "kind") or "Deployment"
        line = next(
            (document.lines[at] for at in ((*path, "spec", key), (*path, "spec"), path) if at in document.lines), 1
        )
        if type(most) is int:
            yield f"{kind}/{_at(target, 'name')}", Setting(key, str(min(most, MOST_REPLICAS)), file, line)


def _config_map(file: Path, lines: Mapping[YamlPath, int], path: YamlPath, found: Mapping[str, Any]) -> Part:
    """Return the variables in a ConfigMap; an entry of several lines is a file."""
    data = found.get("data")
    variables = {
        str(name): Setting("data", str(value), file, lines.get((*path, "data", str(name)), 1))
        for name, value in (data.items() if isinstance(data, Mapping) else ())
        if VARIABLE.fullmatch(str(name)) and "\n" not in str(value).strip()
    }
    name = f"ConfigMap/{_at(found, 'metadata', 'name')}"
    return Part(Reader.KUBERNETES, file, lines.get((*path, "data"), 1), name, files=(file,), variables=variables)


class _Reader:
    def __init__(
        self,
        file: Path,
        lines: Mapping[YamlPath, int],
        root: YamlPath,
        found: Mapping[str, Any],
        path: YamlPath,
        container: Any,
    ) -> None:
        self.file, self.lines, self.root, self.object, self.path = file, lines, root, found, path
        self.container = container

    def part(self) -> Part:
        words = [str(word) for key in ("command", "args") for word in _list(self.container.get(key))]
        name = f"{self.object['kind']}/{_at(self.object, 'metadata', 'name')}"
        environment = {
            str(each.get("name")): str(each.get("value", ""))
            for each in _list(self.container.get("env"))
            if isinstance(each, Mapping)
        }
        key = "args" if "args" in self.container else "command"
        started = started_in_container(str(self.container.get("name")), words, environment)
        container = self._container(words, environment)
        command = self._setting((*self.path, key), " ".join(words)) if words else None
        asked = next((probe for probe in container.probes if not words and "celery" in " ".join(probe.words)), None)
        if asked:
            # The command is that of the image; a probe that asks Celery shows what it is.
            started, command = Recognised(Kind.WORKER), asked.setting
        return Part(
            Reader.KUBERNETES,
            self.file,
            self._line(self.path),
            f"{name}/{self.container.get('name')}",
            files=(self.file,),
            command=command,
            started=started,
            variables=self._variables(),
            container=container,
        )

    def _variables(self) -> dict[str, Setting]:
        return {
            str(each.get("name")): Setting(
                "env", REFERENCE.sub("", str(each["value"])), self.file, self._line((*self.path, "env", number))
            )
            for number, each in enumerate(_list(self.container.get("env")))
            if isinstance(each, Mapping) and each.get("value") is not None
        }

    def _container(self, words: Sequence[str], environment: Mapping[str, str]) -> Container:
        where = TEMPLATES[self.object["kind"]]
        grace = _at(self.object, *where, "terminationGracePeriodSeconds")
        at = self._setting((*self.root, *where, "terminationGracePeriodSeconds"), str(grace))
        policy = ("spec", "concurrencyPolicy") if self.object["kind"] == "CronJob" else ("spec", "strategy", "type")
        strategy = _at(self.object, *policy)
        replicas = _at(self.object, "spec", "replicas")
        return Container(
            words=tuple(words),
            entry_point=self._setting(
                (*self.path, "command"), " ".join(map(str, _list(self.container.get("command"))))
            ),
            default_grace_seconds=DEFAULT_GRACE_SECONDS,
            grace=at if isinstance(grace, int) else None,
            grace_seconds=float(grace) if isinstance(grace, int) else None,
            probes=tuple(self._probes()),
            environment=environment,
            controller=self.object["kind"],
            strategy=self._setting((*self.root, *policy), str(strategy)) if strategy else None,
            replicas=replicas if isinstance(replicas, int) else 1,
            surroundings=self._surroundings(),
        )

    def _surroundings(self) -> tuple[str, ...] | None:
        pod = TEMPLATES[self.object["kind"]]
        volumes = [each for each in _list(_at(self.object, *pod, "volumes")) if isinstance(each, Mapping)]
        return flattened(
            [
                _at(self.object, "metadata", "namespace"),
                [self.container.get(key) for key in ("image", "workingDir", "envFrom")],
                [
                    each
                    for each in _list(self.container.get("env"))
                    if isinstance(each, Mapping) and "value" not in each
                ],
                [each.get(kind) for each in volumes for kind in ("configMap", "secret", "projected")],
            ]
        )

    def _probes(self) -> Iterator[Probe]:
        for name in PROBES:
            words = tuple(str(word) for word in _list(_at(self.container, name, "exec", "command")))
            if words:
                yield Probe(self._setting((*self.path, name), " ".join(words)), words)

    def _setting(self, path: YamlPath, value: str) -> Setting:
        return Setting(str(path[-1]), value, self.file, self._line(path))

    def _line(self, path: YamlPath) -> int:
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def _at(value: Any, *path: str | int) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
