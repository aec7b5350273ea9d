"""Read how the keeper starts a worker, afresh for each one, from the file that `procman install` keeps up to date."""

import json
from typing import Dict, List, NamedTuple, Optional

from .sd_notify import NOTIFY_SOCKET
from .slots import KEEPER_PID

FORMAT = 1
MOST_BYTES = 1024**2
OF_KEEPER = ("NOTIFY_SOCKET", "WATCHDOG_PID")
"""The variables of systemd that are for the keeper alone."""


class UnusableLaunchError(Exception):
    """The file cannot be used; the message is for the administrator who reads the log."""


class Launch(NamedTuple):
    """How to start a worker in any slot."""

    argv: List[Optional[str]]
    """None: the node name of the slot."""
    environment: Dict[str, str]
    node_names: Dict[str, str]
    """By slot, in the order in which the slots are used."""
    overlap_max: int
    overlap_seconds: float
    """How long a successor may take to become healthy."""
    stop_timeout_seconds: float
    restart_seconds: float = 10.0
    """How long after its end a worker starts again beside others that drain: as long as systemd waits (RestartSec=)."""

    def words(self, slot: str) -> List[str]:
        """Return the command line in `slot`."""
        return [self.node_names[slot] if word is None else word for word in self.argv]


def read_launch(path: str) -> Launch:
    """Return the content of the launch file at `path`; raise UnusableLaunchError."""
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read(MOST_BYTES).decode("utf-8"))
        if found["format"] != FORMAT:
            raise ValueError("its format is {!r}".format(found["format"]))
        launch = Launch(
            argv=[None if word is None else str(word) for word in found["argv"]],
            environment={str(name): str(value) for name, value in found["environment"].items()},
            node_names={str(slot): str(name) for slot, name in found["node_names"].items()},
            overlap_max=int(found["overlap_max"]),
            overlap_seconds=float(found["overlap_seconds"]),
            stop_timeout_seconds=float(found["stop_timeout_seconds"]),
            restart_seconds=float(found.get("restart_seconds", 10)),
        )
    except OSError as error:
        raise UnusableLaunchError("cannot read {}: {}".format(path, error.strerror)) from None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        text = "cannot use {}: {!r}; run `procman install` to restore it".format(path, error)
        raise UnusableLaunchError(text) from None
    if not launch.argv or launch.argv[0] is None or not launch.node_names:
        raise UnusableLaunchError("cannot use {}: it names no command".format(path))
    return launch


def environment_of(
    launch: Launch, own: Dict[str, str], run_directory: str, parent_pid: int, notify_socket: str
) -> Dict[str, str]:
    """Return the environment of a worker in a slot: the keeper's `own`, and above it that of the launch file."""
    environment = {name: value for name, value in own.items() if name not in OF_KEEPER}
    environment.update(launch.environment)
    environment["PROCMAN_RUN_DIRECTORY"] = run_directory
    environment["PROCMAN_PARENT_PID"] = environment[KEEPER_PID] = str(parent_pid)
    if notify_socket:
        environment[NOTIFY_SOCKET] = notify_socket
    return environment
