"""The roots that hosts are made of: this machine's own, and other releases of Debian from debootstrap.

`PROCMAN_HOST_SUITE=trixie` makes the hosts of Debian 13. Its root is created once (50 s, 50 MB of downloads) from the
mirror that the machine's apt uses, with the machine's own certificates, and kept as an archive, which is unpacked in a
fifth of a second.

    python -m tests.host.roots sid      # creates the root, or prints why it cannot
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from .cache import CACHE, OWN, filling_the_cache, keep_the_latest
from .overlay import HostError, Overlay

SUITE = os.environ.get("PROCMAN_HOST_SUITE", OWN)
"""The suite of every host that asks for no other."""

MAKE_ROOT = """
set -eu
suite=$1 mirror=$2 root=/tmp/root
mkdir "$root"
debootstrap --variant=minbase --include=ca-certificates,systemd "$suite" "$root" "$mirror" > /tmp/log 2>&1 || {
    tail -n 5 /tmp/log "$root/debootstrap/debootstrap.log" 2> /dev/null
    exit 1
}
for certificate in /usr/local/share/ca-certificates/*.crt; do
    [ ! -e "$certificate" ] || cp "$certificate" "$root/usr/local/share/ca-certificates/"
done
chroot "$root" update-ca-certificates > /dev/null
# Proxies, and whether an old index of the mirror is accepted.
apt-config dump --no-empty --format '%f "%v";%n' Acquire > "$root/etc/apt/apt.conf.d/90machine"
cd "$root"
printf 'path-exclude=%s/*\\n' /usr/share/doc /usr/share/info /usr/share/locale /usr/share/man > etc/dpkg/dpkg.cfg.d/lean
rm -rf usr/share/doc usr/share/info usr/share/locale usr/share/man var/cache/apt/* var/lib/apt/lists/* debootstrap
"""


def root(suite: str) -> Path | None:
    """Return the archive of the root of `suite`, created if not cached; None is the machine's own.

    Raises HostError if debootstrap cannot create it.
    """
    archive = made(suite)
    if archive is None:
        return None
    with filling_the_cache(suite):
        if not archive.exists():
            _make_root(suite, archive)
        keep_the_latest(archive, "root-*.tar", 1)
    return archive


def made(suite: str) -> Path | None:
    """Return where `root` has put the archive."""
    if suite == OWN:
        return None
    return CACHE / "host" / suite / f"root-{hashlib.sha256(MAKE_ROOT.encode()).hexdigest()[:16]}.tar"


def read(path: str, archive: Path | None) -> str:
    """Return the text of a file of a root."""
    if archive is None:
        return Path(path).read_text()
    tar = ["tar", "--extract", "--to-stdout", f"--file={archive}", "--occurrence=1", f".{path}"]
    return subprocess.run(tar, check=True, capture_output=True, text=True).stdout


def _make_root(suite: str, archive: Path) -> None:
    if shutil.which("debootstrap") is None:
        raise HostError("debootstrap is missing")
    part = archive.with_suffix(".part")
    with Overlay() as overlay:
        overlay.run(["sh", "-c", MAKE_ROOT, "make", suite, _mirror()])
        overlay.pack(part, "/tmp/root")
    part.rename(archive)


def _mirror() -> str:
    """Return the address from which the machine's apt gets the packages of its own release."""
    fields = ["--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages"]
    listed = subprocess.run(["apt-get", "indextargets", *fields], check=True, capture_output=True, text=True).stdout
    own = platform.freedesktop_os_release()["VERSION_CODENAME"]
    for line in listed.splitlines():
        release, _, address = line.partition(" ")
        if release == own:
            return address
    raise HostError(f"the sources of apt name no mirror for {own}")


def main() -> int:
    """Create the roots of the suites that are given."""
    try:
        for suite in sys.argv[1:]:
            root(suite)
    except HostError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
