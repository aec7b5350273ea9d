"""A boot of the machine that runs a product: namespaces of processes and clocks with a boot id of their own.

Brokers run outside of it, as on other hosts. Its end kills all its processes at once, as a power failure does; unlike
that, it loses nothing that was written.
"""

from __future__ import annotations

import subprocess
import time
import uuid
from pathlib import Path

from tests.product import eventually

BOOT_ID = "/proc/sys/kernel/random/boot_id"
# The shell adopts orphans, and reaps them.
INIT = f'mount --bind "$0" {BOOT_ID} && touch "$0.booted" && while :; do sleep 3600; done'


class Boot:
    """Namespaces whose clocks begin at about zero; `prefix` runs a command in them."""

    def __init__(self, directory: Path) -> None:
        self.id = str(uuid.uuid4())
        file = directory / f"boot-{self.id}"
        file.write_text(f"{self.id}\n")
        since = {
            name: max(0, int(time.clock_gettime(clock)) - 1)
            for name, clock in (("monotonic", time.CLOCK_MONOTONIC), ("boottime", time.CLOCK_BOOTTIME))
        }
        clocks = [f"--{name}=-{seconds}" for name, seconds in since.items()]
        words = ["unshare", "--pid", "--mount", "--mount-proc", "--time", *clocks, "--fork", "--kill-child"]
        self._unshare = subprocess.Popen([*words, "sh", "-c", INIT, str(file)], stderr=subprocess.DEVNULL)
        eventually(lambda: self._failed() or Path(f"{file}.booted").exists(), "the namespaces exist")
        assert not self._failed(), "cannot create namespaces"
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children")
        self.prefix = ("nsenter", f"--target={int(children.read_text())}", "--pid", "--mount", "--time", "--")

    def end(self) -> None:
        """Kill all processes of this boot at once, and wait until they are gone."""
        subprocess.run(["kill", "-9", self.prefix[1].partition("=")[2]], check=False, capture_output=True)
        # The kernel ends the first process of a namespace when no other is left.
        self._unshare.wait()

    def _failed(self) -> bool:
        return self._unshare.poll() is not None
