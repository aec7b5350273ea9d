"""Create a file of fixed size that is written through mapped memory, where no later write can find the disk full.

If the kernel finds no room for a page of mapped memory, it kills the process (SIGBUS). So every block is allocated
first, and file systems that write changed blocks elsewhere, or over a network, are written to with system calls.
"""

import fcntl
import mmap
import os
import struct
import sys
from typing import Any, Iterable, Union

from . import run_files

# Saved before gevent or eventlet can replace them in the module.
_pread, _pwrite = os.pread, os.pwrite

IN_PLACE = ("ext2", "ext3", "ext4", "xfs", "tmpfs")
"""The local file systems that overwrite an allocated block where it is."""
MOUNTS = "/proc/self/mountinfo"
FS_IOC_GETFLAGS = 0x80086601  # linux/fs.h
FS_EXTENT_FL = 0x80000
"""A flag that only ext4 sets (`e` of chattr(1))."""


class UnmappedFile:
    """A file whose parts are read and assigned as those of mapped memory, with a system call each. Raises OSError."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __getitem__(self, place: slice) -> bytes:
        return _pread(self._descriptor, place.stop - place.start, place.start)

    def __setitem__(self, place: slice, content: bytes) -> None:
        _pwrite(self._descriptor, content, place.start)


class PackedPart:
    """A part of any file; its items are of one little-endian format of `struct`."""

    def __init__(self, file: Any, begin: int, size: int, item: str) -> None:
        self._file, self._begin, self._size = file, begin, size
        self._item = struct.Struct("<" + item)

    def __setitem__(self, place: Union[int, slice], content: Any) -> None:
        if isinstance(place, slice):
            self._file[self._begin : self._begin + self._size] = content
        else:
            begin = self._begin + place * self._item.size
            self._file[begin : begin + self._item.size] = self._item.pack(content)


def create(path: str, size: int) -> Any:
    """Create the file at `path` with `size` zero bytes, in place of any other there; its slices can be assigned.

    Raises OSError if the disk has no room for it.
    """
    descriptor = run_files.create(path)
    try:
        os.posix_fallocate(descriptor, 0, size)
        if _overwrites_in_place(os.path.dirname(path), descriptor):
            return mmap.mmap(descriptor, size)
        return UnmappedFile(os.dup(descriptor))
    finally:
        os.close(descriptor)


def is_memory(file: Any) -> bool:
    """Return whether `part` returns memory of `file`, in which numbers have the processor's order of bytes."""
    return sys.byteorder == "little" and not isinstance(file, UnmappedFile)


def part(file: Any, begin: int, size: int, item: Any = "B") -> Any:
    """Return a part of `file` to whose items one can assign, or to all as `[:]`; `item` is their format in `struct`."""
    if is_memory(file):
        return memoryview(file)[begin : begin + size].cast(item)
    return PackedPart(file, begin, size, item)


def _overwrites_in_place(directory: str, descriptor: int) -> bool:
    # In an overlay, a file can have another device than its directory.
    device = os.stat(directory).st_dev
    with open(MOUNTS, "rb") as mounts:
        found = type_of_mount(mounts, f"{os.major(device)}:{os.minor(device)}")
    return found in IN_PLACE or (found == "overlay" and _is_on_ext4(descriptor))


def _is_on_ext4(descriptor: int) -> bool:
    """Return whether a new file of an overlay, as of a container, is on an ext4: overlayfs passes its flags on."""
    try:
        flags = fcntl.ioctl(descriptor, FS_IOC_GETFLAGS, bytes(8))
    except OSError:
        return False
    [found] = struct.unpack_from("I", flags)
    return bool(found & FS_EXTENT_FL)


def type_of_mount(mounts: Iterable[bytes], device: str) -> str:
    """Return the type of the file system on `device` (`8:1`), or "", from the lines of proc_pid_mountinfo(5).

    The devices of btrfs's files are not in the list.
    """
    for line in mounts:
        mount, _, file_system = line.partition(b" - ")
        if mount.split()[2:3] == [device.encode()]:
            return file_system.split()[0].decode("ascii", "replace")
    return ""
