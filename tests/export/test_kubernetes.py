"""The export to Kubernetes: each manifest, by the ten points of a good one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from procman.cli.main import run
from procman.export.kubernetes.rules import NEWEST
from procman.launch import agent_source, launch_of
from tests.export.projects import FULL, expanded, export, objects, project, readme, rendered, rendering
from tests.export.tools import VERSIONS


@pytest.fixture
def full() -> dict[tuple[str, str], dict[str, Any]]:
    """Return the objects of a project with everything."""
    return objects(export(FULL, "kubernetes"))


def pod(manifest: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = manifest["spec"]["template"]["spec"]
    return found


def container(manifest: dict[str, Any]) -> dict[str, Any]:
    [found] = pod(manifest)["containers"]
    assert isinstance(found, dict)
    return found


def variables(manifest: dict[str, Any], files: dict[str, str]) -> dict[str, str]:
    lines = files.get("environment.env", "").splitlines()
    common = dict(line.split("=", 1) for line in lines if "envFrom" in container(manifest))
    return common | {each["name"]: expanded(each["value"]) for each in container(manifest)["env"]}


def test_readme_is_right_in_every_column_of_the_table() -> None:
    found = objects(export(readme(), "kubernetes"))
    beat = found["StatefulSet", "catmaid-celery-beat"]
    assert beat["spec"]["replicas"] == 1
    graces = {
        name: pod(each)["terminationGracePeriodSeconds"] for (kind, name), each in found.items() if kind == "Deployment"
    }
    assert graces == {"catmaid-celery": 630, "catmaid-crop": 3630}
    for each in (beat, *(found["Deployment", name] for name in WORKERS)):
        python, isolated, probe, question = container(each)["livenessProbe"]["exec"]["command"]
        assert (python, isolated, question) == ("/opt/catmaid/django/env/bin/python", "-IS", "live")
        assert probe == "/usr/local/lib/procman/catmaid/probe.py"
        assert any(mount["mountPath"] == str(Path(probe).parent) for mount in container(each)["volumeMounts"])


WORKERS = ("catmaid-celery", "catmaid-crop")


@pytest.mark.parametrize("text", [readme(), FULL], ids=["readme", "full"])
def test_every_program_is_launched_as_on_a_host(tmp_path: Path, text: str) -> None:
    files = export(text.replace("instances = 3", ""), "kubernetes")
    found, described = objects(files), project(tmp_path, text.replace("instances = 3", ""), "kubernetes")
    for program in described.programs:
        kind = "StatefulSet" if program.key == "beat" else "Deployment"
        manifest, launch = found[kind, program.name], launch_of(described, program)
        assert expanded(container(manifest)["command"]) == list(launch.argv)
        assert container(manifest)["workingDir"] == str(launch.directory)
        assert variables(manifest, files) == {**launch.environment, "HOME": "/tmp"}


def test_instances_of_a_worker_are_replicas(full: dict[tuple[str, str], dict[str, Any]]) -> None:
    worker = full["Deployment", "shop-celery"]
    assert worker["spec"]["replicas"] == 3
    assert "shop-celery@%h" in container(worker)["command"]
    assert {"name": "PROCMAN_PROGRAM", "value": "shop-celery"} in container(worker)["env"]
    assert full["Deployment", "shop-manual"]["spec"]["replicas"] == 0


def test_worker_is_replaced_by_a_surge(full: dict[tuple[str, str], dict[str, Any]]) -> None:
    worker = full["Deployment", "shop-slow"]
    surge = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert worker["spec"]["strategy"] == surge
    assert pod(worker)["terminationGracePeriodSeconds"] == 7230
    [spread] = pod(worker)["topologySpreadConstraints"]
    assert spread["labelSelector"] == worker["spec"]["selector"]
    assert spread["whenUnsatisfiable"] == "ScheduleAnyway"
    assert full["Deployment", "shop-flower"]["spec"]["strategy"] == {"type": "Recreate"}


def test_only_beat_is_a_stateful_set_of_one(full: dict[tuple[str, str], dict[str, Any]]) -> None:
    assert [name for kind, name in full if kind == "StatefulSet"] == ["shop-celery-beat"]
    beat = full["StatefulSet", "shop-celery-beat"]
    assert (beat["spec"]["replicas"], beat["spec"]["podManagementPolicy"]) == (1, "Parallel")
    assert full["Service", beat["spec"]["serviceName"]]["spec"]["clusterIP"] == "None"
    [claim] = beat["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "100Mi"
    mounts = {each["name"]: each["mountPath"] for each in container(beat)["volumeMounts"]}
    assert mounts[claim["metadata"]["name"]] == "/var/lib/shop"


def test_beat_with_a_database_needs_no_volume() -> None:
    text = FULL.replace("[beat]", '[beat]\nscheduler = "redbeat.RedBeatScheduler"')
    beat = objects(export(text, "kubernetes"))["StatefulSet", "shop-celery-beat"]
    assert "volumeClaimTemplates" not in beat["spec"]


def test_schedule_on_a_volume_of_others_needs_no_second_one() -> None:
    text = FULL.replace("[beat]", '[beat]\nschedule_file = "/srv/media/schedule"')
    beat = objects(export(text, "kubernetes"))["StatefulSet", "shop-celery-beat"]
    assert "volumeClaimTemplates" not in beat["spec"]
    assert [each["name"] for each in container(beat)["volumeMounts"] if each["mountPath"] == "/srv/media"]


def test_probes_ask_the_heartbeat(full: dict[tuple[str, str], dict[str, Any]]) -> None:
    worker = container(full["Deployment", "shop-slow"])
    questions = {name: worker[name]["exec"]["command"][-1] for name in worker if name.endswith("Probe")}
    assert questions == {"startupProbe": "startup", "livenessProbe": "live", "readinessProbe": "ready"}
    # It watches a process with an old heartbeat for two intervals of five seconds.
    assert all(worker[name]["timeoutSeconds"] == 15 for name in questions)
    assert not any(name.endswith("Probe") for name in container(full["Deployment", "shop-flower"]))


def test_running_tasks_of_a_frozen_worker_finish_as_on_a_host(full: dict[tuple[str, str], dict[str, Any]]) -> None:
    beat = container(full["StatefulSet", "shop-celery-beat"])["livenessProbe"]
    assert beat["terminationGracePeriodSeconds"] == 60
    for name in ("shop-celery", "shop-slow", "shop-manual"):
        assert "terminationGracePeriodSeconds" not in container(full["Deployment", name])["livenessProbe"]


def test_pods_are_restricted_and_write_only_where_they_must(full: dict[tuple[str, str], dict[str, Any]]) -> None:
    for (kind, name), manifest in full.items():
        if kind not in ("Deployment", "StatefulSet"):
            continue
        security = pod(manifest)["securityContext"]
        assert (security["runAsNonRoot"], security["runAsUser"], security["fsGroup"]) == (True, 1000, 1000), name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert security["fsGroupChangePolicy"] == "OnRootMismatch"
        assert container(manifest)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert pod(manifest)["automountServiceAccountToken"] is False
        mounts = {each["mountPath"]: each.get("readOnly", False) for each in container(manifest)["volumeMounts"]}
        writable = {f"/var/lib/procman/shop/run/{name}", "/tmp", "/srv/media", "/var/cache/media"}
        expected = dict.fromkeys(writable | ({"/var/lib/shop"} if kind == "StatefulSet" else set()), False)
        assert mounts == expected | {"/usr/local/lib/procman/shop": True, "/etc/shop/secrets.env": True}


def test_secret_is_only_referenced(full: dict[tuple[str, str], dict[str, Any]]) -> None:
    assert not [name for kind, name in full if kind == "Secret"]
    [volume] = [each for each in pod(full["Deployment", "shop-slow"])["volumes"] if "secret" in each]
    # A number of JSON has no octal digits.
    assert volume["secret"] == {"secretName": "shop-secrets-env", "defaultMode": 0o440}
    claims = [
        each["persistentVolumeClaim"]["claimName"] for each in pod(full["Deployment", "shop-slow"])["volumes"][-2:]
    ]
    assert claims == ["shop-srv-media", "shop-var-cache-media"]


def test_files_of_one_name_are_in_different_secrets() -> None:
    text = FULL.replace("[command.flower]", '[command.flower]\nenvironment_file = "/etc/flower/secrets.env"')
    found = objects(export(text, "kubernetes"))
    names = {}
    for program in ("shop-slow", "shop-flower"):
        [volume] = [each for each in pod(found["Deployment", program])["volumes"] if "secret" in each]
        names[program] = volume["secret"]["secretName"]
    assert names == {"shop-slow": "shop-secrets-env", "shop-flower": "shop-etc-flower-secrets-env-66e8d7d4"}


def test_memory_is_reserved_and_limited(full: dict[tuple[str, str], dict[str, Any]]) -> None:
    assert container(full["Deployment", "shop-slow"])["resources"] == {
        "requests": {"cpu": "500m", "memory": "1024Mi"},
        "limits": {"memory": "1024Mi"},
    }
    assert container(full["Deployment", "shop-celery"])["resources"]["limits"] == {"memory": "700Mi"}
    assert "resources" not in container(full["Deployment", "shop-manual"])


def test_disruption_budget_of_every_worker_and_of_nothing_else(full: dict[tuple[str, str], dict[str, Any]]) -> None:
    budgets = {name: each["spec"] for (kind, name), each in full.items() if kind == "PodDisruptionBudget"}
    assert set(budgets) == {"shop-celery", "shop-slow", "shop-manual"}
    for name, budget in budgets.items():
        assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
        assert budget["selector"] == full["Deployment", name]["spec"]["selector"]


def test_autoscalers_of_nodes_leave_long_tasks_alone(full: dict[tuple[str, str], dict[str, Any]]) -> None:
    def annotations(kind: str, name: str) -> dict[str, str] | None:
        found: dict[str, str] | None = full[kind, name]["spec"]["template"]["metadata"].get("annotations")
        return found

    kept = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "karpenter.sh/do-not-disrupt": "true"}
    assert annotations("Deployment", "shop-slow") == kept
    assert annotations("Deployment", "shop-manual") is annotations("StatefulSet", "shop-celery-beat") is None


def test_keda_scales_the_workers_whose_queues_are_known() -> None:
    files = export(FULL, "kubernetes")
    found = objects(files)
    [scaled] = [each for (kind, _), each in found.items() if kind == "ScaledObject"]
    assert scaled["spec"]["scaleTargetRef"] == {"name": "shop-slow"}
    assert (scaled["spec"]["minReplicaCount"], scaled["spec"]["maxReplicaCount"]) == (1, 6)
    triggers = [(each["type"], each["metadata"]["queueName"]) for each in scaled["spec"]["triggers"]]
    assert triggers == [("rabbitmq", "slow"), ("rabbitmq", "slower")]
    behaviour = scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behaviour["scaleDown"]["stabilizationWindowSeconds"] == 3600
    # Otherwise each apply would undo what KEDA did.
    assert "replicas" not in found["Deployment", "shop-slow"]["spec"]
    assert "keda" not in files["kustomization.yaml"]
    assert yaml.safe_load(files["keda/kustomization.yaml"])["resources"] == ["scaled-objects.yaml"]


def test_keda_does_not_start_what_is_off() -> None:
    text = FULL.replace('pool = "solo"', 'pool = "solo"\nqueues = ["rare"]')
    found = objects(export(text, "kubernetes"))
    assert found["Deployment", "shop-manual"]["spec"]["replicas"] == 0
    assert [name for kind, name in found if kind == "ScaledObject"] == ["shop-slow"]


def test_keda_keeps_the_instances() -> None:
    files = export(FULL.replace("instances = 3", 'instances = 3\nqueues = ["celery"]'), "kubernetes")
    found = objects(files)
    assert "replicas" not in found["Deployment", "shop-celery"]["spec"]
    assert found["ScaledObject", "shop-celery"]["spec"]["minReplicaCount"] == 3
    assert "keda/ starts 3; without it there is one" in files["shop-celery.yaml"]


def test_manifest_of_every_worker_has_a_file_of_its_own() -> None:
    text = FULL.replace('name = "shop"', 'name = "disruption"').replace("[worker.manual]", "[worker.budgets]")
    found = objects(export(text, "kubernetes"))
    assert {("Deployment", "disruption-budgets"), ("PodDisruptionBudget", "disruption-budgets")} < set(found)


@pytest.mark.parametrize("name", ["on", "no", "yes", "true", "null", "y"])
def test_name_that_yaml_reads_as_something_else_stays_a_name(name: str) -> None:
    text = FULL.replace('name = "shop"', f'name = "{name}"').replace('SAME = "other"', 'NO = "x"\nON = "y"')
    found = objects(export(text, "kubernetes"))
    assert ("NetworkPolicy", name) in found
    variables = [each["name"] for each in container(found["Deployment", f"{name}-slow"])["env"]]
    assert {"NO", "ON"} < set(variables)


def test_network_policy_allows_dns_and_the_ports_that_are_set(full: dict[tuple[str, str], dict[str, Any]]) -> None:
    policy = full["NetworkPolicy", "shop"]["spec"]
    assert policy["ingress"] == []
    assert [[port["port"] for port in each["ports"]] for each in policy["egress"]] == [[53, 53], [5672, 5432]]
    labels = full["Deployment", "shop-slow"]["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()


def test_without_their_settings_nothing_optional_is_rendered() -> None:
    files = export(readme(), "kubernetes")
    assert not [name for name in files if "/" in name]
    assert "environment.env" not in files
    assert "configMapGenerator" not in yaml.safe_load(files["kustomization.yaml"])


@pytest.mark.parametrize(
    ("version", "budget", "grace", "always"),
    [
        ("1.20", "policy/v1beta1", False, False),
        ("1.21", "policy/v1", False, False),
        ("1.25", "policy/v1", True, False),
        ("1.27", "policy/v1", True, True),
    ],
)
def test_newer_fields_are_left_out(version: str, budget: str, grace: bool, always: bool) -> None:
    found = objects(export(FULL + f'version = "{version}"\n', "kubernetes"))
    one = found["PodDisruptionBudget", "shop-slow"]
    assert one["apiVersion"] == budget
    assert ("unhealthyPodEvictionPolicy" in one["spec"]) is always
    probe = container(found["StatefulSet", "shop-celery-beat"])["livenessProbe"]
    assert ("terminationGracePeriodSeconds" in probe) is grace


def test_grace_on_a_platform_with_a_cap() -> None:
    text = readme().replace("stop_timeout_seconds = 3600", "")
    text += '[defaults.worker]\nstop_timeout_seconds = 110\n[kubernetes]\nplatform = "fargate"\n'
    found = objects(export(text, "kubernetes"))
    assert pod(found["Deployment", "catmaid-crop"])["terminationGracePeriodSeconds"] == 120


def test_agent_is_complete_and_small_enough_for_apply() -> None:
    found = objects(export(FULL, "kubernetes"))
    maps = {name: each["data"] for (kind, name), each in found.items() if kind == "ConfigMap"}
    together: dict[str, str] = {name: text for data in maps.values() for name, text in data.items()}
    assert together == {name: agent_source(name) for name in together}
    assert {"launcher.py", "probe.py", "verdict.py"} < set(together)
    # kubectl keeps a copy in an annotation, and the server accepts 256 KiB of these.
    assert all(len(yaml.dump(data)) < 240_000 for data in maps.values())
    [agent] = [each for each in pod(found["Deployment", "shop-slow"])["volumes"] if each["name"] == "agent"]
    assert [each["configMap"]["name"] for each in agent["projected"]["sources"]] == list(maps)


def test_export_is_deterministic() -> None:
    assert rendered(FULL, "kubernetes") == rendering(FULL, "kubernetes")


def test_assumptions_are_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configuration = tmp_path / "procman.toml"
    configuration.write_text(readme() + '[kubernetes]\nversion = "1.99"\n')
    assert run(["--config", str(configuration), "export", "kubernetes"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "procman: [kubernetes] image is not set: an overlay has to replace the image catmaid of the manifests",
        "procman: [kubernetes] user_id is not set: the programs run as 1000, not as www-data of the image",
        "procman: [kubernetes] version 1.99 is newer than any that procman knows (1.37)",
    ]
    configuration.write_text(FULL.replace("[kubernetes]", "[kubernetes]\nuser_id = 1000"))
    assert run(["--config", str(configuration), "export", "kubernetes"]) == 0
    assert capsys.readouterr().err == ""


def test_newest_version_is_the_newest_in_the_tests() -> None:
    assert VERSIONS[-1] == NEWEST
