"""A network namespace for the control plane and one for each node, on one bridge."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from pathlib import Path

HUB, HUB_ADDRESS = "pmk-hub", "10.99.0.1"
NODES = {"n1": ("10.99.0.11", "10.99.1.0/24"), "n2": ("10.99.0.12", "10.99.2.0/24")}
"""Each node with its address and the network of its pods."""

SPACES = Path("/run/netns")


def networks(undo: ExitStack) -> None:
    """Make the namespaces; at the end they are deleted, with those that the container runtime made for pods."""
    undo.callback(_delete_pods, {*_pods()})
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


def _pods() -> list[str]:
    return [path.name for path in SPACES.glob("cni-*")]


def _delete_pods(before: set[str]) -> None:
    for name in set(_pods()) - before:
        _ip("netns", "delete", name)
