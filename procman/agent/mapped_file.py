"""Create a file of fixed size that is written through mapped memory, where no later write can find the disk full.

If the kernel finds no room for a page of mapped memory, it kills the process (SIGBUS). So every block is allocated
first, and file systems that write changed blocks elsewhere, or over a network, are written to with system calls.
"""

import fcntl
import mmap
import os
import struct
from functools import partial
from typing import Any, Callable, Iterable, Union

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

    def __setitem__(self, place: Union[int, slice], content: Any) -> None:
        if isinstance(place, slice):
            _pwrite(self._descriptor, content, place.start)
        else:
            _pwrite(self._descriptor, bytes((content,)), place)


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


def writer(file: Any, structure: Any) -> Callable[..., None]:
    """Return a function that writes values at an offset of `file`, packed by `structure`, a `struct.Struct`."""
    if isinstance(file, mmap.mmap):
        return partial(structure.pack_into, file)

    def write(offset: int, *values: Any) -> None:
        file[offset : offset + structure.size] = structure.pack(*values)

    return write


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
