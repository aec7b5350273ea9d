"""A file that is written through mapped memory, or where that could kill the process, with system calls."""

from __future__ import annotations

import faulthandler
import mmap
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from procman.agent import mapped_file
from procman.agent.mapped_file import UnmappedFile, create, type_of_mount

MOUNTS = [
    b"27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n",
    b"28 27 0:31 / /srv/with\\040space rw shared:5 master:1 - btrfs /dev/vdb rw\n",
    b"broken\n",
]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a directory on a file system of 128 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.fixture
def small_ext4(tmp_path: Path) -> Iterator[Path]:
    """Return a directory on an ext4 of a few MiB."""
    image, disk = tmp_path / "image", tmp_path / "ext4"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(4 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, disk], check=True)
    yield disk
    subprocess.run(["umount", disk], check=True)


@contextmanager
def overlay(upper: Path, place: Path) -> Iterator[Path]:
    """Mount an overlay on `upper`, as containers have."""
    layers = {"lowerdir": place / "lower", "upperdir": upper / "files", "workdir": upper / "work"}
    for directory in (*layers.values(), place / "merged"):
        directory.mkdir()
    options = ",".join(f"{name}={directory}" for name, directory in layers.items())
    subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", place / "merged"], check=True)
    try:
        yield place / "merged"
    finally:
        subprocess.run(["umount", place / "merged"], check=True)


@pytest.mark.parametrize(
    ("device", "expected"), [("254:0", "ext4"), ("0:31", "btrfs"), ("0:99", "")], ids=["ext4", "btrfs", "unknown"]
)
def test_type_of_a_file_system_is_that_of_its_mount(device: str, expected: str) -> None:
    assert type_of_mount(MOUNTS, device) == expected


@pytest.mark.parametrize("in_place", [(), mapped_file.IN_PLACE], ids=["unmapped", "mapped"])
def test_parts_are_written_either_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_place: tuple[str, ...]
) -> None:
    monkeypatch.setattr(mapped_file, "IN_PLACE", in_place)
    path = tmp_path / "file"
    file = create(str(path), 8192)
    file[4096:4100] = b"abcd"
    file[4101:4102] = b"e"
    assert path.read_bytes() == bytes(4096) + b"abcd\0e" + bytes(8192 - 4102)
    assert in_place or isinstance(file, UnmappedFile)


def test_this_host_maps_files_on_memory(tmp_path: Path) -> None:
    path = Path("/dev/shm", f"procman-test-{os.getpid()}")
    try:
        assert isinstance(create(str(path), 4096), mmap.mmap)
    finally:
        path.unlink()


@pytest.mark.root
def test_full_disk_refuses_the_file(small_disk: Path) -> None:
    (small_disk / "filler").write_bytes(bytes(100 * 1024))
    with pytest.raises(OSError, match="No space left"):
        create(str(small_disk / "file"), 64 * 1024)
    (small_disk / "filler").unlink()
    create(str(small_disk / "file"), 64 * 1024)


@pytest.mark.root
def test_disk_that_fills_up_later_does_not_kill_the_process(small_disk: Path) -> None:
    def write() -> None:
        file = create(str(small_disk / "file"), 64 * 1024)
        _fill(small_disk)
        for begin in range(0, 64 * 1024, 4096):
            file[begin : begin + 4] = b"task"

    assert _status_of(write) == 0


@pytest.mark.root
def test_without_allocation_a_full_disk_would_kill_the_process(small_disk: Path) -> None:
    def write() -> None:
        faulthandler.disable()
        with (small_disk / "file").open("wb+") as file:
            file.truncate(64 * 1024)
            mapped = mmap.mmap(file.fileno(), 64 * 1024)
        _fill(small_disk)
        mapped[32768:32772] = b"task"

    assert _status_of(write) == -signal.SIGBUS


@pytest.mark.root
def test_overlay_on_ext4_is_mapped_and_its_full_disk_does_not_kill_the_process(
    small_ext4: Path, tmp_path: Path
) -> None:
    with overlay(small_ext4, tmp_path) as merged:

        def write() -> None:
            file = create(str(merged / "file"), 64 * 1024)
            assert isinstance(file, mmap.mmap)
            _fill(small_ext4)
            for begin in range(0, 64 * 1024, 4096):
                file[begin : begin + 4] = b"task"
            file.flush()

        assert _status_of(write) == 0
        assert (merged / "file").read_bytes()[-4096:].startswith(b"task")


@pytest.mark.root
def test_overlay_on_an_unknown_file_system_is_not_mapped(small_disk: Path, tmp_path: Path) -> None:
    with overlay(small_disk, tmp_path) as merged:

        def write() -> None:
            assert isinstance(create(str(merged / "file"), 4096), UnmappedFile)

        assert _status_of(write) == 0


def _status_of(write: Callable[[], None]) -> int:
    """Return the exit status of a child process that writes."""
    child = os.fork()
    if not child:
        try:
            write()
            os._exit(0)
        finally:
            os._exit(1)  # it must not run the other tests
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            return
