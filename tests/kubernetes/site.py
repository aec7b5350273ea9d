"""The project of the trials: its procman.toml, its app, and what makes its export run without a real image."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from tests.celery_environments import CELERY_REDIS, environment_of
from tests.export.projects import export, objects
from tests.kubernetes.cluster import HUB_ADDRESS, IMAGE

BROKER = f"redis://{HUB_ADDRESS}:6379/0"

TOML = """[project]
name = "site"
app = "trial"
directory = "{directory}"
virtualenv = "{virtualenv}"
user = "www-data"

[environment]
BROKER = "{broker}"
GENERATION = "{generation}"

[worker.celery]
concurrency = 2
instances = 2
stop_timeout_seconds = 120
start_seconds = 1

[beat]
stop_timeout_seconds = 10

[kubernetes]
version = "{version}"
image = "{image}"
memory_mib = 300
keda_broker = "rabbitmq"
egress_ports = [6379]
"""

APP = """
import os, time, uuid
import redis
from celery import Celery
from celery.signals import before_task_publish

BEAT = uuid.uuid4().hex
record = redis.Redis.from_url(os.environ["BROKER"])
app = Celery("trial", broker=os.environ["BROKER"])
app.conf.update(
    beat_schedule={"tick": {"task": "trial.tick", "schedule": 1.0}},
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=1,
)

@before_task_publish.connect
def publish(sender=None, **arguments):
    if sender == "trial.tick":
        record.rpush("ticks", "%s %f" % (BEAT, time.time()))

@app.task(name="trial.tick")
def tick():
    pass

@app.task(name="trial.work", bind=True)
def work(self, seconds):
    record.rpush("started", self.request.id)
    time.sleep(seconds)
    record.rpush("finished", self.request.id)
"""

KUSTOMIZED = ("ConfigMap", "site-environment")


class Site:
    """The project in `directory`, with the Python of the tests in place of that of an image."""

    def __init__(self, directory: Path) -> None:
        environment = environment_of(CELERY_REDIS)
        if environment is None:
            raise SystemExit("no virtualenv with Celery and redis")
        self.directory, self.virtualenv = directory, environment.directory
        self.python = environment.python
        self.code = directory / "code"
        self.code.mkdir(parents=True)
        (self.code / "trial.py").write_text(APP)
        for each in (directory, self.code):
            each.chmod(0o755)

    def files(self, generation: int = 1, version: str = "1.20") -> dict[str, str]:
        """Return the files of the export."""
        values = {"directory": self.code, "virtualenv": self.virtualenv, "broker": BROKER, "image": IMAGE}
        text = TOML.format(generation=generation, version=version, **values)
        return export(text, "kubernetes")

    def manifests(self, generation: int = 1) -> list[dict[str, Any]]:
        """Return what to apply: the export, its ConfigMap as Kustomize makes it, and volumes of this machine."""
        files = self.files(generation)
        of_keda = ("ScaledObject", "TriggerAuthentication")
        found = [each for key, each in objects(files).items() if key[0] not in of_keda]
        variables = dict(line.split("=", 1) for line in files["environment.env"].splitlines())
        name = f"{KUSTOMIZED[1]}-{generation}"
        settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": variables}
        return [settings, self._volume(), *(self._here(each, name) for each in found)]

    def _volume(self) -> dict[str, Any]:
        data = self.directory / "schedule"
        data.mkdir(exist_ok=True)
        data.chmod(0o777)
        return {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": "schedule"},
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "hostPath": {"path": str(data)},
                "persistentVolumeReclaimPolicy": "Retain",
            },
        }

    def _here(self, manifest: dict[str, Any], environment: str) -> dict[str, Any]:
        """Return a manifest whose container sees the programs of this machine, as an overlay of the user would do."""
        if manifest["kind"] not in ("Deployment", "StatefulSet"):
            return manifest
        changed = copy.deepcopy(manifest)
        pod = changed["spec"]["template"]["spec"]
        [container] = pod["containers"]
        for source in container.get("envFrom", []):
            source["configMapRef"]["name"] = environment
        for number, path in enumerate(self._mounted()):
            pod["volumes"].append({"name": f"here-{number}", "hostPath": {"path": path}})
            mount = {"name": f"here-{number}", "mountPath": path, "readOnly": True}
            container["volumeMounts"].append(mount)
        pod["dnsPolicy"] = "Default"
        return changed

    def _mounted(self) -> list[str]:
        """Return the directories of this machine that the containers see.

        Not /usr: below a read-only mount there would be no place for that of the agent.
        """
        prefix = self.python.resolve().parent.parent
        of_python = [] if prefix == Path("/usr") else [prefix]
        paths = [*map(Path, ("/usr/bin", "/usr/lib", "/lib", "/lib64", "/bin")), *of_python, self.virtualenv, self.code]
        return [str(path) for path in paths if path.exists()]


def as_deployment(beat: dict[str, Any]) -> dict[str, Any]:
    """Return the usual manifest of beat: a Deployment of one that is replaced by Recreate."""
    changed = copy.deepcopy(beat)
    changed["kind"] = "Deployment"
    for name in ("serviceName", "podManagementPolicy", "volumeClaimTemplates", "updateStrategy"):
        changed["spec"].pop(name, None)
    changed["spec"]["strategy"] = {"type": "Recreate"}
    changed["spec"]["template"]["spec"]["volumes"].append({"name": "schedule", "emptyDir": {}})
    return changed
