"""The engines' own tools read an export: schemas of Kubernetes, kubectl, docker-compose."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from procman.deploy.render import write_below
from procman.export.kubernetes.rules import LONGEST_LINE
from tests.export import tools
from tests.export.faults import faults
from tests.export.projects import FULL, expanded, export, manifests, objects, readme, rendering

pytestmark = pytest.mark.engines

PROJECTS = pytest.mark.parametrize("text", [readme(), FULL], ids=["readme", "full"])

OF_KEDA = ("ScaledObject", "TriggerAuthentication")
"""Kinds that only a cluster with KEDA has."""


def written(directory: Path, text: str, target: str) -> Path:
    write_below(rendering(text, target), directory / "out")
    return directory / "out"


def kustomize(version: str, directory: Path) -> dict[tuple[str, str], dict[str, Any]]:
    words = [str(tools.kubectl(version)), "kustomize", str(directory)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={"HOME": str(directory)})
    assert (done.returncode, done.stderr) == (0, "")
    return objects({"all.yaml": done.stdout})


@cache
def built(version: str, text: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the base as that version of Kustomize builds it, once for all tests."""
    with tempfile.TemporaryDirectory() as directory:
        return kustomize(version, written(Path(directory), text, "kubernetes"))


def by_schema(text: str, version: str, without: tuple[str, ...] = OF_KEDA) -> list[str]:
    """Return what the schemas of `version` refuse in the manifests for it, except those of the kinds `without`."""
    found = [each for _, each in manifests(export(text, "kubernetes")) if each["kind"] not in without]
    return [f"{each['metadata']['name']}: {problem}" for each in found for problem in tools.problems(each, version)]


@pytest.mark.parametrize("version", tools.VERSIONS)
def test_each_schema_accepts_every_kind(version: str) -> None:
    # What a ConfigMap may hold is the same in all versions.
    assert by_schema(f'{FULL}version = "{version}"\n', version, (*OF_KEDA, "ConfigMap")) == []


@PROJECTS
def test_newest_schema_accepts_every_manifest(text: str) -> None:
    assert by_schema(text, tools.VERSIONS[-1]) == []


def _deployment(change: Callable[[Any], None]) -> Callable[[dict[Any, Any]], None]:
    return lambda found: change(found["Deployment", "shop-slow"]["spec"])


BROKEN: dict[str, tuple[Callable[[dict[Any, Any]], Any], bool]] = {
    "wrong type": (_deployment(lambda spec: spec.update(replicas="two")), True),
    "misspelt probe": (
        _deployment(lambda spec: spec["template"]["spec"]["containers"][0].update(livenesProbe={})),
        True,
    ),
    "selector of no pod": (_deployment(lambda spec: spec["selector"]["matchLabels"].update(x="y")), False),
    "restart policy": (_deployment(lambda spec: spec["template"]["spec"].update(restartPolicy="Never")), False),
    "quantity": (
        _deployment(
            lambda spec: spec["template"]["spec"]["containers"][0]["resources"]["limits"].update(memory="1 GB")
        ),
        False,
    ),
    "probe of nothing": (
        _deployment(lambda spec: spec["template"]["spec"]["containers"][0]["livenessProbe"].pop("exec")),
        False,
    ),
    "budget of no pod": (
        lambda found: found["PodDisruptionBudget", "shop-slow"]["spec"]["selector"]["matchLabels"].update(x="y"),
        False,
    ),
    "name": (lambda found: found.update({("Deployment", "Shop_Slow"): found.pop(("Deployment", "shop-slow"))}), False),
    "volume": (
        _deployment(lambda spec: spec["template"]["spec"]["containers"][0]["volumeMounts"][0].update(name="x")),
        False,
    ),
}


@pytest.mark.parametrize(("change", "in_schema"), BROKEN.values(), ids=list(BROKEN))
def test_broken_manifest_is_found(change: Callable[[dict[Any, Any]], Any], in_schema: bool) -> None:
    found = {key: each for key, each in objects(export(FULL, "kubernetes")).items() if key[0] not in OF_KEDA}
    # Only Kustomize makes this one.
    found["ConfigMap", "shop-environment"] = {"metadata": {}}
    assert faults(found) == []
    change(found)
    changed = [each for key, each in found.items() if key[0] in ("Deployment", "PodDisruptionBudget")]
    refused = [problem for each in changed for problem in tools.problems(each, "1.37")]
    assert bool(refused) is in_schema
    assert refused or faults(found)


@PROJECTS
@pytest.mark.parametrize("version", tools.KUBECTLS)
def test_kubectl_builds_the_base(text: str, version: str) -> None:
    found = built(version, text)
    assert faults(found) == []
    described = objects(export(text, "kubernetes"))
    kinds = [kind for kind, _ in described if kind not in (*OF_KEDA, "NetworkPolicy")]
    assert sorted(kind for kind, _ in found) == sorted([*kinds, *(["ConfigMap"] if text is FULL else [])])
    for key, each in found.items():
        if key in described and key[0] == "ConfigMap":
            assert each["data"] == described[key]["data"]


@pytest.mark.parametrize("version", tools.KUBECTLS)
def test_kubectl_builds_the_base_of_keda(tmp_path: Path, version: str) -> None:
    out = written(tmp_path, FULL, "kubernetes")
    assert {kind for kind, _ in kustomize(version, out / "keda")} == set(OF_KEDA)


@pytest.mark.parametrize("version", tools.KUBECTLS)
def test_change_of_a_variable_starts_new_pods(version: str) -> None:
    references = []
    for price in ("5 $", "6 '$(HOME)' \\\"x\\\" #"):
        text = FULL.replace("5 $", price)
        found = built(version, text)
        [source] = found["Deployment", "shop-slow"]["spec"]["template"]["spec"]["containers"][0]["envFrom"]
        data = found["ConfigMap", source["configMapRef"]["name"]]["data"]
        [line] = export(text, "kubernetes")["environment.env"].splitlines()
        assert f"PRICE={data['PRICE']}" == line
        assert data["PRICE"].startswith(price.replace("\\", ""))
        references.append(source["configMapRef"]["name"])
    assert references[0] != references[1]


@pytest.mark.parametrize("version", tools.KUBECTLS)
def test_longest_variable_hides_none_behind_it(version: str) -> None:
    long = "x" * (LONGEST_LINE - len("LONG="))
    found = built(version, FULL.replace("PRICE =", f'LONG = "{long}"\nPRICE ='))
    [data] = [each["data"] for (kind, name), each in found.items() if kind == "ConfigMap" and "-environment" in name]
    assert (data["LONG"], len(data)) == (long, 2)


@pytest.mark.parametrize("version", tools.KUBECTLS)
def test_overlay_sets_image_and_namespace(tmp_path: Path, version: str) -> None:
    written(tmp_path, FULL, "kubernetes")
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    key = "bases" if version.startswith("2.") else "resources"
    images = "images: [{name: registry.example.org/shop, newName: other.example.org/shop, newTag: '2'}]"
    (overlay / "kustomization.yaml").write_text(f"namespace: jobs\n{key}: [../out, ../out/network-policy]\n{images}\n")
    found = kustomize(version, overlay)
    assert {each["metadata"]["namespace"] for each in found.values()} == {"jobs"}
    assert ("NetworkPolicy", "shop") in found
    [container] = found["StatefulSet", "shop-celery-beat"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "other.example.org/shop:2"
    assert faults(found) == []


@PROJECTS
def test_docker_compose_reads_the_same(tmp_path: Path, text: str) -> None:
    out = written(tmp_path, text, "compose")
    words = [tools.docker_compose(), "--file", str(out / "compose.yaml"), "config"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=250)
    assert done.returncode == 0, done.stderr
    found, written_as = yaml.safe_load(done.stdout), yaml.safe_load((out / "compose.yaml").read_text())
    assert set(found["services"]) == set(written_as["services"])
    for name, service in written_as["services"].items():
        read = expanded(found["services"][name])
        assert read["entrypoint"] == expanded(service["entrypoint"])
        assert read["environment"] == expanded(service["environment"])
        assert read.get("healthcheck", {}).get("test") == expanded(service.get("healthcheck", {})).get("test")
        assert read["init"] is True
