"""Notice that the project's code on disk is no longer the code that this process has loaded.

A thread of its own compares the files, so that a file system that hangs delays nothing else. Only the modules of the
main process count: pool processes are forked from it and run its code, but a module that a task imports inside a pool
process is not seen.
"""

import binascii
import os
import sys
from time import monotonic, sleep
from types import ModuleType
from typing import Any, Dict, Mapping, NamedTuple, Optional, Tuple

from .settings import HealthSettings
from .worker_state import WorkerState, described, printable

# Saved before gevent or eventlet can replace them in the module.
_stat, _open, _read, _close = os.stat, os.open, os.read, os.close

MOST_BYTES = 1024**2
"""The largest file whose content is compared; of a larger one, only size and time are."""
MOST_MODULES = 50000
"""How many modules are followed."""
PACKAGES = ("site-packages", "dist-packages")
"""The directories of installed packages, in any virtualenv."""

# Not the attribute: modules that load lazily replace it, and would load here.
_names_in = vars(ModuleType)["__dict__"].__get__


class Loaded(NamedTuple):
    """The file of a module as it was when the module was first seen."""

    path: str
    modified: int
    """In nanoseconds."""
    size: int
    checksum: Optional[int]
    """Of the content; None if that is not compared."""


class ChangedCode:
    """The modules of the project that this process has loaded, and those of them whose files have changed."""

    def __init__(self, settings: HealthSettings, observed: WorkerState, directory: str) -> None:
        self._seconds = settings.code_seconds
        self._often = min(settings.code_seconds, settings.heartbeat_seconds)
        self._observed = observed
        self._directory = directory
        self._installed = installed_directories(directory)
        self._modules: Dict[str, Tuple[Any, Optional[Loaded]]] = {}
        """By name, the specification with which each was imported; and its file if it is the project's."""
        self._count = 0
        self._changed: Tuple[str, ...] = ()

    def fields(self) -> Mapping[str, Any]:
        """Return the fields of a heartbeat about changed modules; empty if no file has changed."""
        changed = self._changed
        if not changed:
            return {}
        name = next((each for each in changed if each.isprintable()), None)
        return {"changed_modules": len(changed), "changed_module": None if name is None else printable(name)}

    def forever(self) -> None:
        """Look at new modules soon after their import, and compare all of them every `code_seconds`."""
        due = monotonic()
        while True:
            try:
                is_due = monotonic() >= due
                if is_due or len(sys.modules) != self._count:
                    self.follow_new()
                if is_due:
                    self.compare()
                    due = monotonic() + self._seconds
            except Exception as error:
                self._observed.missing["changed code"] = described(error)
            else:
                self._observed.missing.pop("changed code", None)
            sleep(self._often)

    def follow_new(self) -> None:
        """Remember the files of the modules that were imported, or imported again, since the last time."""
        modules = list(sys.modules.items())
        self._count = len(modules)
        for name, module in modules:
            if not issubclass(type(module), ModuleType):
                continue
            names = _names_in(module)
            specification = names.get("__spec__")
            known = self._modules.get(name)
            if known is not None and known[0] is specification:
                continue
            if known is not None or len(self._modules) < MOST_MODULES:
                self._modules[name] = specification, self._loaded(names.get("__file__"))

    def compare(self) -> None:
        """Compare the files with those that were loaded."""
        modules = sorted(self._modules.items())
        self._changed = tuple(name for name, (_, loaded) in modules if loaded is not None and has_changed(loaded))

    def _loaded(self, file: Any) -> Optional[Loaded]:
        if not isinstance(file, str):
            return None
        path = os.path.join(self._directory, file)
        if path.startswith(self._installed) or any("/%s/" % each in path for each in PACKAGES):
            return None
        try:
            status = _stat(path)
        except OSError:  # in a zip file
            return None
        return Loaded(path, status.st_mtime_ns, status.st_size, _checksum(path, status.st_size))


def installed_directories(project: str) -> Tuple[str, ...]:
    """Return the directories of code that is not the project's: Python's own, the virtualenv, and this one."""
    found = [os.path.dirname(os.__file__), os.path.dirname(os.path.abspath(__file__))]
    prefix = os.path.join(sys.prefix, "")
    if sys.prefix != sys.base_prefix and not os.path.join(project, "").startswith(prefix):
        found.append(prefix)
    return tuple(os.path.join(each, "") for path in found for each in (path, os.path.realpath(path)))


def has_changed(loaded: Loaded) -> bool:
    """Return whether the file of a module has another content now, or is gone.

    An older time counts too, as after `git checkout` or `rsync -t`; another time alone, as after `touch`, does not.
    """
    try:
        status = _stat(loaded.path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    if status.st_size != loaded.size:
        return True
    if status.st_mtime_ns == loaded.modified:
        return False
    return loaded.checksum is None or _checksum(loaded.path, status.st_size) != loaded.checksum


def _checksum(path: str, size: int) -> Optional[int]:
    if size > MOST_BYTES:
        return None
    try:
        descriptor = _open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return binascii.crc32(_read(descriptor, MOST_BYTES))
    except OSError:
        return None
    finally:
        _close(descriptor)
