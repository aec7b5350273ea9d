"""Faults of Kubernetes manifests that the schemas do not detect: selectors, probes, quantities and names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
QUANTITY = r"[0-9]+(\.[0-9]+)?(m|Ki|Mi|Gi|Ti|k|M|G|T)?"

Manifest = Mapping[str, Any]


def faults(objects: Mapping[tuple[str, str], Manifest]) -> list[str]:
    """Return every fault in `objects`, by kind and name."""
    found = []
    for (kind, name), manifest in objects.items():
        found += [f"{kind} {name}: {fault}" for fault in _of_object(kind, name, manifest, objects)]
    return found


def _of_object(kind: str, name: str, manifest: Manifest, objects: Mapping[tuple[str, str], Manifest]) -> Iterator[str]:
    if not all(re.fullmatch(LABEL, part) for part in name.split(".")) or len(name) > 253:
        yield f"{name} is no name"
    for label, value in manifest["metadata"].get("labels", {}).items():
        if not re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", value):
            yield f"{value} is no value of the label {label}"
    if kind in ("Deployment", "StatefulSet"):
        yield from _of_controller(kind, name, manifest, objects)
    if kind == "PodDisruptionBudget":
        selector = manifest["spec"]["selector"]["matchLabels"]
        if not any(selector.items() <= labels.items() for labels in _pods(objects)):
            yield "its selector matches no pod"


def _pods(objects: Mapping[tuple[str, str], Manifest]) -> Iterator[Mapping[str, str]]:
    for (kind, _), manifest in objects.items():
        if kind in ("Deployment", "StatefulSet"):
            yield manifest["spec"]["template"]["metadata"]["labels"]


def _of_controller(
    kind: str, name: str, manifest: Manifest, objects: Mapping[tuple[str, str], Manifest]
) -> Iterator[str]:
    template, spec = manifest["spec"]["template"], manifest["spec"]["template"]["spec"]
    selector = manifest["spec"]["selector"]["matchLabels"]
    if not selector.items() <= template["metadata"]["labels"].items():
        yield "its selector does not match its own pods"
    if sum(selector.items() <= labels.items() for labels in _pods(objects)) > 1:
        yield "its selector matches the pods of another"
    if spec.get("restartPolicy", "Always") != "Always":
        yield f"restartPolicy {spec['restartPolicy']}"
    if kind == "StatefulSet" and ("Service", manifest["spec"]["serviceName"]) not in objects:
        yield "its service does not exist"
    claims = [each["metadata"]["name"] for each in manifest["spec"].get("volumeClaimTemplates", [])]
    volumes = [each["name"] for each in spec.get("volumes", [])] + claims
    if len(volumes) != len(set(volumes)):
        yield "two volumes have one name"
    for map_name in _maps(spec):
        if ("ConfigMap", map_name) not in objects:
            yield f"the ConfigMap {map_name} does not exist"
    for container in spec["containers"]:
        yield from (*_of_mounts(container, set(volumes)), *_of_probes(container), *_of_quantities(container))


def _maps(spec: Manifest) -> Iterator[str]:
    for container in spec["containers"]:
        sources = container.get("envFrom", [])
        yield from (source["configMapRef"]["name"] for source in sources if "configMapRef" in source)
    for volume in spec.get("volumes", []):
        yield from (source["configMap"]["name"] for source in volume.get("projected", {}).get("sources", []))


def _of_mounts(container: Manifest, volumes: set[str]) -> Iterator[str]:
    paths = [each["mountPath"] for each in container.get("volumeMounts", [])]
    if len(paths) != len(set(paths)):
        yield "two volumes are mounted at one path"
    for mount in container.get("volumeMounts", []):
        if mount["name"] not in volumes:
            yield f"the volume {mount['name']} does not exist"


def _of_probes(container: Manifest) -> Iterator[str]:
    for probe in filter(container.get, ("startupProbe", "livenessProbe", "readinessProbe")):
        if len({"exec", "httpGet", "tcpSocket", "grpc"} & set(container[probe])) != 1:
            yield f"{probe} asks nothing"
        for name in ("periodSeconds", "timeoutSeconds", "failureThreshold"):
            if container[probe].get(name, 1) < 1:
                yield f"{probe}: {name} is below 1"


def _of_quantities(container: Manifest) -> Iterator[str]:
    for amounts in container.get("resources", {}).values():
        for name, amount in amounts.items():
            if not re.fullmatch(QUANTITY, str(amount)):
                yield f"{name}: {amount} is no quantity"
