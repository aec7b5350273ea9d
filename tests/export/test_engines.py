"""The engines' own tools read an export: schemas of Kubernetes, kubectl, docker-compose."""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from procman.deploy.render import write_below
from procman.export import target_named
from tests.export import tools
from tests.export.faults import faults
from tests.export.projects import FULL, expanded, export, manifests, objects, project, readme

pytestmark = pytest.mark.engines

PROJECTS = pytest.mark.parametrize("text", [readme(), FULL], ids=["readme", "full"])

OF_KEDA = ("ScaledObject", "TriggerAuthentication")
"""Kinds that only a cluster with KEDA has."""


def written(directory: Path, text: str, target: str) -> Path:
    rendering = target_named(target).render(project(directory, text, target))
    write_below(rendering, directory / "out")
    return directory / "out"


def kustomize(version: str, directory: Path) -> dict[tuple[str, str], dict[str, Any]]:
    words = [str(tools.kubectl(version)), "kustomize", str(directory)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={"HOME": str(directory)})
    assert (done.returncode, done.stderr) == (0, "")
    return objects({"all.yaml": done.stdout})


@PROJECTS
def test_every_schema_accepts_every_manifest(tmp_path: Path, text: str) -> None:
    for version in tools.VERSIONS:
        table = "" if "[kubernetes]" in text else "[kubernetes]\n"
        files = export(tmp_path, f'{text}\n{table}version = "{version}"\n', "kubernetes")
        found = [each for _, each in manifests(files) if each["kind"] not in OF_KEDA]
        assert [(each["metadata"]["name"], tools.problems(each, version)) for each in found] == [
            (each["metadata"]["name"], []) for each in found
        ]


@PROJECTS
def test_no_fault_that_schemas_do_not_detect(tmp_path: Path, text: str) -> None:
    found = kustomize("5.8.1", written(tmp_path, text, "kubernetes"))
    assert faults(found) == []


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
def test_broken_manifest_is_found(tmp_path: Path, change: Callable[[dict[Any, Any]], Any], in_schema: bool) -> None:
    found = copy.deepcopy(objects(export(tmp_path, FULL, "kubernetes")))
    found = {key: each for key, each in found.items() if key[0] not in OF_KEDA}
    # Only Kustomize makes this one.
    found["ConfigMap", "shop-environment"] = {"metadata": {}}
    assert faults(found) == []
    change(found)
    by_schema = [problem for each in found.values() if "kind" in each for problem in tools.problems(each, "1.37")]
    assert bool(by_schema) is in_schema
    assert by_schema or faults(found)


@PROJECTS
@pytest.mark.parametrize("version", tools.KUBECTLS)
def test_kubectl_builds_the_base(tmp_path: Path, text: str, version: str) -> None:
    found = kustomize(version, written(tmp_path, text, "kubernetes"))
    described = objects(export(tmp_path, text, "kubernetes"))
    kinds = [kind for kind, _ in described if kind not in (*OF_KEDA, "NetworkPolicy")]
    assert sorted(kind for kind, _ in found) == sorted([*kinds, *(["ConfigMap"] if text is FULL else [])])
    for key, each in found.items():
        if key in described and key[0] == "ConfigMap":
            assert each["data"] == described[key]["data"]


@pytest.mark.parametrize("version", tools.KUBECTLS)
def test_kubectl_builds_the_optional_bases(tmp_path: Path, version: str) -> None:
    out = written(tmp_path, FULL, "kubernetes")
    assert {kind for kind, _ in kustomize(version, out / "keda")} == set(OF_KEDA)
    assert {kind for kind, _ in kustomize(version, out / "network-policy")} == {"NetworkPolicy"}


@pytest.mark.parametrize("version", tools.KUBECTLS)
def test_change_of_a_variable_starts_new_pods(tmp_path: Path, version: str) -> None:
    references = []
    for number, price in enumerate(("5 $", "6 '$(HOME)' \\\"x\\\" #")):
        (tmp_path / str(number)).mkdir()
        out = written(tmp_path / str(number), FULL.replace("5 $", price), "kubernetes")
        found = kustomize(version, out)
        [source] = found["Deployment", "shop-slow"]["spec"]["template"]["spec"]["containers"][0]["envFrom"]
        data = found["ConfigMap", source["configMapRef"]["name"]]["data"]
        [line] = (out / "environment.env").read_text().splitlines()
        assert f"PRICE={data['PRICE']}" == line
        assert data["PRICE"].startswith(price.replace("\\", ""))
        references.append(source["configMapRef"]["name"])
    assert references[0] != references[1]


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
    [container] = found["StatefulSet", "shop-celery-beat"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "other.example.org/shop:2"
    assert faults(found) == []


@PROJECTS
def test_docker_compose_reads_the_same(tmp_path: Path, text: str) -> None:
    secrets = tmp_path / "secrets.env"
    secrets.write_text("CELERY_BROKER_URL=amqp://one:two@broker//\n")
    for path in ("/etc/shop/secrets.env", "/etc/catmaid/celery.env"):
        text = text.replace(path, str(secrets))
    out = written(tmp_path, text, "compose")
    words = [tools.docker_compose(), "--file", str(out / "compose.yaml"), "config"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    found, written_as = yaml.safe_load(done.stdout), yaml.safe_load((out / "compose.yaml").read_text())
    assert set(found["services"]) == set(written_as["services"])
    for name, service in written_as["services"].items():
        read = expanded(found["services"][name])
        assert read["entrypoint"] == expanded(service["entrypoint"])
        assert expanded(service["environment"]).items() <= read["environment"].items()
        assert read["environment"]["CELERY_BROKER_URL"] == "amqp://one:two@broker//"
        assert read.get("healthcheck", {}).get("test") == expanded(service.get("healthcheck", {})).get("test")
        assert read["init"] is True
