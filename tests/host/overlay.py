"""A private, writable view of this machine's root or of another one, which ends with the process that opened it.

It depends on one process, the holder: process 1 of a PID namespace with its own mount namespace, which reads a pipe
that only this process can write to. When this process closes the pipe or ends in any way, the holder exits, and the
kernel ends every process of the namespace and removes every mount. The mounts are never in the machine's own mount
table, so no clean-up can reach the real root through one of them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from types import FrameType, TracebackType

from . import cgroups

TREE = "/run/tree"
"""The view once more, without anything mounted in it: what a host is booted from."""

UPPER = "/run/upper"
"""What was changed in the view, as overlayfs keeps it."""

HOLD = """
set -eu
name=$1 root=$2 layer=$3; shift 3
resolver=$(cat /etc/resolv.conf || true)  # it may be a link to somewhere below /run
# Not on the machine's own file system: an overlay refuses layers that lie inside one another.
mount -t tmpfs -o mode=0755 "$name" /run
mkdir /run/upper /run/work /run/root /run/lower
lower=/
if [ -n "$root" ]; then
    tar --extract --file "$root" --directory /run/lower
    lower=/run/lower
fi
[ -z "$layer" ] || tar --extract --file "$layer" --directory /run/upper --xattrs --xattrs-include='*'
mount -t overlay -o lowerdir=$lower,upperdir=/run/upper,workdir=/run/work,index=off,metacopy=off "$name" /run/root
cd /run/root
rm -f etc/resolv.conf
printf '%s\\n' "$resolver" > etc/resolv.conf
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=0755 tmpfs run
mkdir run/machine run/tree run/upper
mount --bind . run/tree
mount --bind /run/upper run/upper
for directory; do
    mkdir "run/${directory##*/}"
    mount --bind "$directory" "run/${directory##*/}"
done
pivot_root . run/machine
umount --lazy run/machine
rmdir run/machine
echo ready
exec cat > /dev/null
"""

_numbers = count()


class HostError(Exception):
    """The host, or a part of it, could not be created on this machine."""


class Overlay:
    """The view, as a context manager.

    `root` is a tar archive of another root to show instead of the machine's own, `layer` one of the files in addition
    to it. Each directory of `bind` is the machine's real one, mounted at /run/NAME; no other write ever reaches the
    machine.
    """

    def __init__(self, layer: Path | None = None, bind: Sequence[Path] = (), root: Path | None = None) -> None:
        self.name = cgroups.name_for_this_process(next(_numbers))
        self._root = root
        self._layer = layer
        self._bind = bind
        self._undo = ExitStack()
        self._holder = 0

    def __enter__(self) -> Overlay:
        if self._root is None:
            _require_one_file_system()
        cgroups.sweep()
        with ExitStack() as undo:
            _unwind_on_sigterm(undo)
            undo.callback(cgroups.remove, self.name)
            self._hold(undo)
            self.run(["mountpoint", "--quiet", TREE])  # before anything runs that must not change the real root
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def path(self, path: str | Path) -> Path:
        """Return `path` of the view for this process; symbolic links are resolved inside the view."""
        return follow(Path(f"/proc/{self._holder}/root"), path)

    def entering(self, argv: Sequence[str]) -> list[str]:
        """Return a command line that runs `argv` in the view, on the machine's network."""
        return ["nsenter", f"--target={self._holder}", "--mount", "--pid", "--root", "--wd", "--", *argv]

    def run(self, argv: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Run a program in the view, on the machine's network. Raises HostError with its output if it fails."""
        result = subprocess.run(
            self.entering(argv),
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if result.returncode:
            raise HostError(f"exit status {result.returncode} of {' '.join(argv)}\n{result.stdout}")

    def pack(self, archive: Path, directory: str = UPPER) -> None:
        """Write a directory to a tar archive; the changes in the view can be the `layer` of another one."""
        # The origin of a file that overlayfs records has no meaning for another overlay.
        unwanted = ("--xattrs-exclude=trusted.overlay.origin", "--xattrs-exclude=trusted.overlay.impure")
        packed = f"--directory=/proc/{self._holder}/root{directory}"
        tar = ["tar", "--create", f"--file={archive}", packed, "--xattrs", "--xattrs-include=*", *unwanted, "."]
        subprocess.run(tar, check=True)

    def _hold(self, undo: ExitStack) -> None:
        """Start the holder, which ends when `undo` closes its pipe."""
        unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]
        archives = [str(archive or "") for archive in (self._root, self._layer)]
        outer = subprocess.Popen(
            [*unshare, "sh", "-c", HOLD, "holder", self.name, *archives, *map(str, self._bind)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        undo.callback(outer.wait)
        for stream in (outer.stdout, outer.stdin):
            assert stream is not None
            undo.callback(stream.close)
        assert outer.stdout is not None
        printed = []
        for line in outer.stdout:
            printed.append(line)
            if line == "ready\n":
                self._holder = child_of(outer.pid)
                return
        raise HostError(f"no overlay can be mounted:\n{''.join(printed)}")


def _require_one_file_system() -> None:
    for place in ("/etc", "/usr", "/var"):
        if os.path.ismount(place):
            raise HostError(f"an overlay of / does not show the file systems mounted below it, and {place} is one")


def child_of(pid: int) -> int:
    """Return the first child of a process, 0 if it has none."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            return int(stat.parent.name)
    return 0


def follow(root: Path, path: str | Path) -> Path:
    """Return `path` below `root` with symbolic links resolved as if `root` were /; missing parts are kept."""
    todo = list(reversed(Path("/", path).parts[1:]))
    found: list[str] = []
    for _ in range(256):
        if not todo:
            return root.joinpath(*found)
        part = todo.pop()
        if part == "..":
            found = found[:-1]
            continue
        link = root.joinpath(*found, part)
        if link.is_symlink():
            target = str(link.readlink())
            found = [] if target.startswith("/") else found
            todo += reversed([piece for piece in target.split("/") if piece not in ("", ".")])
        else:
            found.append(part)
    raise HostError(f"too many links in {path}")


def _unwind_on_sigterm(undo: ExitStack) -> None:
    """Handle SIGTERM like Ctrl-C, unless another handler is set; pytest does not catch KeyboardInterrupt."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    in_main_thread = threading.current_thread() is threading.main_thread()
    if in_main_thread and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, interrupt)
        undo.callback(signal.signal, signal.SIGTERM, signal.SIG_DFL)
