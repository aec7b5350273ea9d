"""What is measured on the cluster; each trial returns a row for docs/fleet.md."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.kubernetes.cluster import HUB, HUB_ADDRESS, Cluster, thaw, wait_until
from tests.kubernetes.site import BROKER, Site, as_deployment

WORKER, BEAT = "site-celery", "site-celery-beat"
TASK_SECONDS = 60
FROZEN_SECONDS = 25

Row = tuple[str, str]


class Trials:
    """The trials of one site on one cluster."""

    def __init__(self, cluster: Cluster, site: Site) -> None:
        self.cluster, self.site = cluster, site

    def rows(self) -> Iterator[Row]:
        """Yield the results in the order of the trials, each of which begins where the one before ends."""
        yield from self.dry_run()
        yield from self.broken()
        yield from self.rollout()
        yield from self.kill()
        yield from self.drain()
        yield from self.freeze()

    # The manifests ----------------------------------------------------------------------------------------------------

    def dry_run(self) -> Iterator[Row]:
        """Ask the server whether it would take every manifest."""
        manifests = self.site.manifests()
        refused = {each["metadata"]["name"]: self.cluster.accepts(each) for each in manifests}
        refused = {name: reason for name, reason in refused.items() if reason}
        yield "server-side dry run", f"{len(manifests) - len(refused)} of {len(manifests)} accepted {refused or ''}"

    def broken(self) -> Iterator[Row]:
        """Ask the server about manifests with one fault each."""
        found = [self.cluster.accepts(each) for each in self._broken()]
        yield "server-side dry run of broken manifests", f"{sum(map(bool, found))} of {len(found)} refused"

    def _broken(self) -> Iterator[dict[str, Any]]:
        def changed(change: Callable[[dict[str, Any], dict[str, Any]], object]) -> dict[str, Any]:
            [worker] = [each for each in self.site.manifests() if each["kind"] == "Deployment"]
            change(worker, worker["spec"]["template"]["spec"]["containers"][0])
            return worker

        yield changed(lambda worker, _: worker["spec"].update(replicas="two"))
        yield changed(lambda _, container: container.update(livenesProbe=container.pop("livenessProbe")))
        yield changed(lambda worker, _: worker["spec"]["selector"]["matchLabels"].update(x="y"))
        yield changed(lambda worker, _: worker["spec"]["template"]["spec"].update(restartPolicy="Never"))
        yield changed(lambda _, container: container["resources"]["limits"].update(memory="1 GB"))
        yield changed(lambda worker, _: worker["metadata"].update(name="Site_Celery"))

    # The programs -----------------------------------------------------------------------------------------------------

    def apply(self, generation: int = 1) -> None:
        """Apply the export with this value of a variable of `[environment]`."""
        manifests = {"apiVersion": "v1", "kind": "List", "items": self.site.manifests(generation)}
        self.cluster.kubectl("apply", "-f", "-", given=json.dumps(manifests))

    def rollout(self) -> Iterator[Row]:
        """Change a variable while two long tasks run."""
        self.apply()
        took = wait_until(lambda: self._are_ready(2), "two workers and beat")
        yield "two workers and beat ready", f"{took:.1f} s"
        sent = {self.send("trial.work", TASK_SECONDS) for _ in range(2)}
        wait_until(lambda: sent <= self.recorded("started"), "the tasks to start")
        self.apply(2)
        least, begin = 2, time.monotonic()
        while time.monotonic() - begin < TASK_SECONDS / 2:
            least = min(least, len(self.cluster.ready(WORKER)))
            time.sleep(0.5)
        wait_until(lambda: sent <= self.recorded("finished"), "the tasks to finish")
        twice = len(self.record("started")) - len(self.recorded("started"))
        yield "rollout during two tasks of 60 s", f"0 lost, {twice} started again, never below {least} ready workers"

    def kill(self) -> Iterator[Row]:
        """Kill the main process of a worker and of beat."""
        for component in (WORKER, BEAT):
            pod = self.cluster.ready(component)[0]
            before = pod["status"]["containerStatuses"][0]["restartCount"]
            os.kill(self._main_process(pod), signal.SIGKILL)
            name = pod["metadata"]["name"]

            def is_back(name: str = name, before: int = before, component: str = component) -> bool:
                pods = {each["metadata"]["name"]: each for each in self.cluster.ready(component)}
                return name in pods and pods[name]["status"]["containerStatuses"][0]["restartCount"] > before

            yield f"kill -9 of {component}: ready again", f"{wait_until(is_back, component):.1f} s"

    def drain(self) -> Iterator[Row]:
        """Drain the node of beat while a task runs there."""
        node = self.cluster.ready(BEAT)[0]["spec"]["nodeName"]
        sent = {self.send("trial.work", 20) for _ in range(4)}
        wait_until(lambda: sent <= self.recorded("started"), "the tasks to start")
        begin = time.monotonic()
        self.cluster.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=170s")
        drained = time.monotonic() - begin
        took = wait_until(lambda: self._is_elsewhere(node), "beat elsewhere")
        wait_until(lambda: sent <= self.recorded("finished"), "the tasks to finish")
        self.cluster.kubectl("uncordon", node)
        wait_until(lambda: self._are_ready(2), "two workers and beat")
        yield "kubectl drain of beat's node", f"{drained:.1f} s, 0 tasks lost, beat elsewhere {took:.1f} s later"

    def freeze(self) -> Iterator[Row]:
        """Freeze the node of beat and thaw it: with our StatefulSet, then with a Deployment."""
        yield "node of beat frozen 25 s and thawed: StatefulSet", f"{self._surplus()} surplus ticks"
        manifests = self.site.manifests(2)
        [beat] = [each for each in manifests if each["kind"] == "StatefulSet"]
        self.cluster.kubectl("delete", "statefulset", BEAT, "--wait")
        self.cluster.kubectl("apply", "-f", "-", given=json.dumps(as_deployment(beat)))
        wait_until(lambda: self._are_ready(2), "beat")
        yield "the same: Deployment with Recreate", f"{self._surplus()} surplus ticks"

    def _surplus(self) -> int:
        """Freeze the node of beat, and return how many ticks an earlier beat sent after a later one had begun."""
        self.redis("DEL", "ticks")
        wait_until(lambda: len(self.record("ticks")) > 3, "ticks")
        frozen = self.cluster.freeze(self.cluster.ready(BEAT)[0]["spec"]["nodeName"])
        try:
            time.sleep(FROZEN_SECONDS)
        finally:
            thaw(frozen)
        time.sleep(FROZEN_SECONDS)
        wait_until(lambda: self._are_ready(2), "two workers and beat")
        return surplus([line.split()[0] for line in self.record("ticks")])

    # Looks ------------------------------------------------------------------------------------------------------------

    def _are_ready(self, workers: int) -> bool:
        return len(self.cluster.ready(WORKER)) >= workers and len(self.cluster.ready(BEAT)) == 1

    def _is_elsewhere(self, node: str) -> bool:
        return any(each["spec"]["nodeName"] != node for each in self.cluster.ready(BEAT))

    def _main_process(self, pod: dict[str, Any]) -> int:
        """Return the pid, on this machine, of the launcher in `pod`: the parent of all other processes of it."""
        found = []
        for each in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                is_of_pod = f"pod{pod['metadata']['uid']}" in (each / "cgroup").read_text()
                if is_of_pod and b"launcher.py" in (each / "cmdline").read_bytes():
                    found.append(int(each.name))
        parents = {pid: int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in found}
        return next(pid for pid in found if parents[pid] not in found)

    def send(self, task: str, *words: object) -> str:
        """Send a task and return its id."""
        text = f"from trial import app; print(app.send_task({task!r}, {list(words)!r}).id)"
        environment = {**os.environ, "BROKER": BROKER, "PYTHONPATH": str(self.site.code)}
        command = ["ip", "netns", "exec", HUB, str(self.site.python), "-c", text]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    def redis(self, *words: str) -> list[str]:
        """Return the lines of Redis' answer."""
        command = ["ip", "netns", "exec", HUB, "redis-cli", "-h", HUB_ADDRESS, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    def record(self, name: str) -> list[str]:
        """Return what the app has recorded under `name`."""
        return [line for line in self.redis("LRANGE", name, "0", "-1") if line]

    def recorded(self, name: str) -> set[str]:
        """Return the same without repetitions."""
        return {*self.record(name)}


def surplus(beats: list[str]) -> int:
    """Return how many of the ticks, each by its beat, came from one that another had already followed."""
    found, last = 0, ""
    followed: set[str] = set()
    for beat in beats:
        if beat in followed:
            found += 1
            continue
        if last and beat != last:
            followed.add(last)
        last = beat
    return found
