"""A control plane and two nodes on this machine, each in a network namespace, with Redis for the project."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.kubernetes.build import BINARIES, ROOT
from tests.kubernetes.certificates import Authority

HUB, HUB_ADDRESS = "pmk-hub", "10.99.0.1"
SERVER = f"https://{HUB_ADDRESS}:6443"
NODES = {"n1": ("10.99.0.11", "10.99.1.0/24"), "n2": ("10.99.0.12", "10.99.2.0/24")}
"""Each node with its address and the network of its pods."""

IMAGE = "docker.io/library/site:1"
PATIENCE_SECONDS = 180.0

CONTAINERD = """version = 2
root = "{directory}/containerd"
state = "{directory}/containerd-state"
[grpc]
  address = "{directory}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{image}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{root}/usr/lib/cni"
    conf_dir = "{directory}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    # An overlay cannot be made on the overlay that many build machines have as their root.
    snapshotter = "native"
"""

KUBELET = """apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {{anonymous: {{enabled: false}}, x509: {{clientCAFile: "{authority}"}}, webhook: {{enabled: false}}}}
authorization: {{mode: AlwaysAllow}}
cgroupRoot: /pmk-{name}
cgroupsPerQOS: true
enforceNodeAllocatable: []
failSwapOn: false
nodeStatusUpdateFrequency: 1s
evictionHard: {{memory.available: "10Mi"}}
address: {address}
"""

CNI = """{{"cniVersion": "0.4.0", "name": "pods", "plugins": [{{"type": "bridge", "bridge": "pods", "isGateway": true,
"ipam": {{"type": "host-local", "dataDir": "{directory}/addresses", "ranges": [[{{"subnet": "{pods}"}}]],
"routes": [{{"dst": "0.0.0.0/0"}}]}}}}]}}
"""


def wait_until(happened: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> float:
    """Wait until `happened` is true and return how many seconds that took."""
    begin = time.monotonic()
    while not happened():
        if time.monotonic() - begin > seconds:
            raise SystemExit(f"waited {seconds:g} s for {what}")
        time.sleep(0.2)
    return time.monotonic() - begin


@dataclass
class Cluster:
    """A running cluster; its files are in `directory`."""

    directory: Path
    kubeconfig: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def kubectl(self, *words: str, given: str = "", check: bool = True) -> str:
        """Run kubectl and return its output; with `given` as its standard input."""
        command = ["ip", "netns", "exec", HUB, str(BINARIES / "kubectl"), f"--kubeconfig={self.kubeconfig}", *words]
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise SystemExit(f"kubectl {' '.join(words)}: {done.stderr}")
        return done.stdout if not done.returncode else ""

    def accepts(self, manifest: dict[str, Any]) -> str:
        """Return why the server refuses `manifest`; empty if it would take it."""
        command = ["ip", "netns", "exec", HUB, str(BINARIES / "kubectl"), f"--kubeconfig={self.kubeconfig}"]
        words = [*command, "apply", "--dry-run=server", "-f", "-"]
        done = subprocess.run(words, input=json.dumps(manifest), capture_output=True, text=True, check=False)
        return done.stderr.strip() if done.returncode else ""

    def items(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        """Return the objects of `kind`."""
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", kind, "-o", "json", f"--selector={selector}"))[
            "items"
        ]
        return found

    def ready(self, component: str) -> list[dict[str, Any]]:
        """Return the pods of a program that are ready and not being deleted."""
        pods = self.items("pods", f"app.kubernetes.io/component={component}")
        return [each for each in pods if _is_ready(each) and "deletionTimestamp" not in each["metadata"]]

    def processes_of(self, node: str) -> list[int]:
        """Return the kubelet and containerd of `node` and everything below them, its pods included."""
        names = (f"kubelet-{node}", f"containerd-{node}")
        groups = [str(self.directory / node)]
        found = {self.processes[name].pid for name in names}
        for each in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                text = (each / "cmdline").read_text(errors="replace")
                # The shims name the socket of their containerd.
                if any(group in text for group in groups) or f"pmk-{node}" in (each / "cgroup").read_text():
                    found.add(int(each.name))
        return sorted(found - {os.getpid()})

    def freeze(self, node: str) -> list[int]:
        """Stop everything on `node`, as a paused virtual machine; return what to thaw."""
        frozen = self.processes_of(node)
        for pid in frozen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        return frozen


def thaw(frozen: Sequence[int]) -> None:
    """Let the processes continue."""
    for pid in frozen:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


@contextmanager
def running(directory: Path) -> Iterator[Cluster]:
    """Run a cluster; everything ends with the block."""
    with ExitStack() as undo:
        _networks(undo)
        authority = _authority(directory / "pki")
        cluster = Cluster(directory, authority.kubeconfig("admin", SERVER))
        undo.callback(_end, cluster)
        _control_plane(cluster, authority)
        wait_until(lambda: "ok" in cluster.kubectl("get", "--raw=/readyz", check=False), "the API server")
        for name, (address, pods) in NODES.items():
            _node(cluster, authority, name, address, pods)
        wait_until(lambda: len([each for each in cluster.items("nodes") if _is_ready(each)]) == len(NODES), "the nodes")
        yield cluster


def _networks(undo: ExitStack) -> None:
    _ip("netns", "add", HUB)
    undo.callback(_ip, "netns", "delete", HUB)
    _ip("-n", HUB, "link", "add", "hub", "type", "bridge")
    _ip("-n", HUB, "address", "add", f"{HUB_ADDRESS}/24", "dev", "hub")
    for link in ("lo", "hub"):
        _ip("-n", HUB, "link", "set", link, "up")
    for name, (address, _) in NODES.items():
        space = f"pmk-{name}"
        _ip("netns", "add", space)
        undo.callback(_ip, "netns", "delete", space)
        _ip("link", "add", f"pmk{name}", "netns", HUB, "type", "veth", "peer", "name", "eth0", "netns", space)
        _ip("-n", HUB, "link", "set", f"pmk{name}", "master", "hub", "up")
        _ip("-n", space, "address", "add", f"{address}/24", "dev", "eth0")
        for link in ("lo", "eth0"):
            _ip("-n", space, "link", "set", link, "up")
        _ip("-n", space, "route", "add", "default", "via", HUB_ADDRESS)
    for name, (address, pods) in NODES.items():
        for space in (HUB, *(f"pmk-{other}" for other in NODES if other != name)):
            _ip("-n", space, "route", "add", pods, "via", address)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def _authority(directory: Path) -> Authority:
    authority = Authority.create(directory)
    authority.sign("apiserver", "/CN=kubernetes", (HUB_ADDRESS, "10.96.0.1"))
    authority.sign("admin", "/O=system:masters/CN=admin")
    authority.sign("controller-manager", "/CN=system:kube-controller-manager")
    authority.sign("scheduler", "/CN=system:kube-scheduler")
    for name in NODES:
        authority.sign(name, f"/O=system:nodes/CN=system:node:{name}")
    return authority


def _start(cluster: Cluster, name: str, space: str, words: Sequence[str]) -> None:
    log = (cluster.directory / f"{name}.log").open("wb")
    # Not `ip netns exec`, which hides the control groups.
    enter = ["nsenter", f"--net=/run/netns/{space}", "--"]
    environment = {**os.environ, "PATH": f"{ROOT}/usr/bin:{ROOT}/usr/sbin:{os.environ['PATH']}"}
    cluster.processes[name] = subprocess.Popen(
        [*enter, *words], stdout=log, stderr=log, env=environment, start_new_session=True
    )


def _control_plane(cluster: Cluster, authority: Authority) -> None:
    etcd, path = f"http://{HUB_ADDRESS}:2379", authority.path
    peers = "http://127.0.0.1:2380"
    _start(
        cluster,
        "etcd",
        HUB,
        [
            *(f"{ROOT}/usr/bin/etcd", f"--data-dir={cluster.directory}/etcd"),
            *(f"--listen-client-urls={etcd}", f"--advertise-client-urls={etcd}", f"--listen-peer-urls={peers}"),
            *(f"--initial-advertise-peer-urls={peers}", f"--initial-cluster=default={peers}"),
        ],
    )
    _start(
        cluster,
        "apiserver",
        HUB,
        [
            *(str(BINARIES / "kube-apiserver"), f"--etcd-servers={etcd}", "--authorization-mode=Node,RBAC"),
            *(f"--bind-address={HUB_ADDRESS}", f"--advertise-address={HUB_ADDRESS}", "--secure-port=6443"),
            *(f"--client-ca-file={path('ca.crt')}", f"--tls-cert-file={path('apiserver.crt')}"),
            *(f"--tls-private-key-file={path('apiserver.key')}", "--service-cluster-ip-range=10.96.0.0/24"),
            *(f"--kubelet-client-certificate={path('admin.crt')}", f"--kubelet-client-key={path('admin.key')}"),
            *(f"--service-account-key-file={path('accounts.pub')}", "--service-account-issuer=https://procman"),
            *(f"--service-account-signing-key-file={path('accounts.key')}", "--allow-privileged"),
            "--kubelet-preferred-address-types=InternalIP",
            # Kubernetes' own defaults are 300 seconds.
            *("--default-not-ready-toleration-seconds=3", "--default-unreachable-toleration-seconds=3"),
        ],
    )
    _start(
        cluster,
        "controller-manager",
        HUB,
        [
            *(str(BINARIES / "kube-controller-manager"), "--leader-elect=false", "--use-service-account-credentials"),
            f"--kubeconfig={authority.kubeconfig('controller-manager', SERVER)}",
            f"--service-account-private-key-file={path('accounts.key')}",
            *(f"--root-ca-file={path('ca.crt')}", "--node-monitor-grace-period=6s", "--node-monitor-period=2s"),
        ],
    )
    scheduler = authority.kubeconfig("scheduler", SERVER)
    _start(
        cluster,
        "scheduler",
        HUB,
        [str(BINARIES / "kube-scheduler"), "--leader-elect=false", f"--kubeconfig={scheduler}"],
    )
    log, redis = cluster.directory / "redis.log", ["redis-server", "--bind", HUB_ADDRESS, "--protected-mode", "no"]
    _start(cluster, "redis", HUB, [*redis, "--save", "", "--appendonly", "no", "--logfile", str(log)])


def _node(cluster: Cluster, authority: Authority, name: str, address: str, pods: str) -> None:
    directory, space = cluster.directory / name, f"pmk-{name}"
    (directory / "cni").mkdir(parents=True)
    values = {"directory": directory, "root": ROOT, "image": IMAGE, "name": name, "address": address, "pods": pods}
    (directory / "containerd.toml").write_text(CONTAINERD.format(**values))
    (directory / "kubelet.yaml").write_text(KUBELET.format(authority=authority.path("ca.crt"), **values))
    (directory / "cni/10-pods.conflist").write_text(CNI.format(**values))
    for controller in Path("/sys/fs/cgroup").iterdir():
        # The kubelet expects its root in every hierarchy.
        if controller.is_dir() and not controller.is_symlink() and controller.name != "unified":
            with contextlib.suppress(OSError):
                (controller / f"pmk-{name}").mkdir(exist_ok=True)
    _start(cluster, f"containerd-{name}", space, [f"{ROOT}/usr/bin/containerd", "-c", f"{directory}/containerd.toml"])
    socket = directory / "containerd.sock"
    wait_until(socket.exists, f"containerd of {name}")
    archive = directory / "image.tar"
    archive.write_bytes(image())
    ctr = [f"{ROOT}/usr/bin/ctr", f"--address={socket}", "--namespace=k8s.io", "images", "import"]
    subprocess.run([*ctr, "--snapshotter=native", str(archive)], check=True, stdout=subprocess.DEVNULL)
    words = [
        *(str(BINARIES / "kubelet"), f"--config={directory}/kubelet.yaml", f"--hostname-override={name}"),
        *(f"--kubeconfig={authority.kubeconfig(name, SERVER)}", "--container-runtime=remote"),
        *(f"--container-runtime-endpoint=unix://{socket}", f"--root-dir={directory}/kubelet"),
        *(f"--node-ip={address}", f"--cert-dir={directory}/certificates"),
    ]
    _start(cluster, f"kubelet-{name}", space, words)


def image() -> bytes:
    """Return an image that holds `pause` alone; the project and its Python are mounted from this machine."""
    layer = _tar({"pause": (BINARIES / "pause").read_bytes()})
    configuration = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/pause"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]
    return _tar(
        {
            "layer.tar": layer,
            "config.json": json.dumps(configuration).encode(),
            "manifest.json": json.dumps(manifest).encode(),
        }
    )


def _tar(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))
    return content.getvalue()


def _end(cluster: Cluster) -> None:
    for node in NODES:
        if f"kubelet-{node}" in cluster.processes:
            for pid in cluster.processes_of(node):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
                    os.kill(pid, signal.SIGKILL)
    for process in reversed(cluster.processes.values()):
        process.kill()
        process.wait()
    for group in Path("/sys/fs/cgroup").glob("*/pmk-*"):
        for inside in sorted(group.rglob("*/"), reverse=True):
            with contextlib.suppress(OSError):
                inside.rmdir()
        with contextlib.suppress(OSError):
            group.rmdir()
    # What the kubelets mounted for their pods.
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    for place in sorted((line.split()[1] for line in mounts), reverse=True):
        if place.startswith(str(cluster.directory)):
            subprocess.run(["umount", "--lazy", place], check=False)
