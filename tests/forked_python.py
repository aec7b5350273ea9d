"""Run code in forks of a Python that has imported already what the code needs, which takes most of its time.

For what tests do hundreds of times, such as asking for the status, and never for what a test examines: a fork has the
modules, and so none of the imports, of a new process.
"""

from __future__ import annotations

import atexit
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

# It runs on the project's Python too. Nothing but the fork changes: it neither imports nor starts anything later.
SERVER = """
import contextlib, importlib, json, os, sys, tempfile, traceback

for name in sys.argv[1:]:
    with contextlib.suppress(ImportError):  # of another version
        importlib.import_module(name)


def run(request, files):
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, file in enumerate(files, 1):
        os.dup2(file.fileno(), number)
        file.close()
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.path[:0] = request["path"]
    sys.argv[:] = ["-c", *request["arguments"]]
    try:
        exec(request["code"], {"__name__": "__main__"})
    except SystemExit as end:
        return end.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


for line in iter(sys.stdin.readline, ""):
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        child = os.fork()
        if not child:
            status = run(json.loads(line), (out, errors))
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        status = os.waitpid(child, 0)[1]
        answer = [os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)]
        for file in out, errors:
            file.seek(0)
            answer.append(file.read().decode(errors="replace"))
    print(json.dumps(answer), flush=True)
"""


class ForkedPython:
    """A Python with `modules`, which runs one code after the other, each in a fork."""

    def __init__(self, python: Path, modules: Sequence[str], environment: Mapping[str, str], *options: str) -> None:
        words = [str(python), *options, "-c", SERVER, *modules]
        # In no directory of a test, and without its variables, by which tests find the processes of a project.
        self._server = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/", env=dict(environment)
        )
        atexit.register(self.close)

    @property
    def is_usable(self) -> bool:
        """Return whether it can run another code."""
        return self._server.poll() is None

    def run(
        self,
        code: str,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        directory: Path,
        path: Sequence[str] = (),
    ) -> subprocess.CompletedProcess[str]:
        """Run `code` as `python -c` does, with `path` before the other directories of modules."""
        request = {
            "code": code,
            "arguments": list(arguments),
            "environment": dict(environment),
            "directory": str(directory),
            "path": list(path),
        }
        assert self._server.stdin
        assert self._server.stdout
        try:
            print(json.dumps(request), file=self._server.stdin, flush=True)
            status, out, errors = json.loads(self._server.stdout.readline())
        except BaseException:
            self.close()  # otherwise its answer would be taken for the one to the next request
            raise
        return subprocess.CompletedProcess([*arguments], status, out, errors)

    def close(self) -> None:
        """End it, and what it runs for nobody any more."""
        self._server.kill()
        self._server.communicate()


_started: dict[tuple[object, ...], ForkedPython] = {}


def forked_python(python: Path, modules: Sequence[str], environment: Mapping[str, str], *options: str) -> ForkedPython:
    """Return the one for all tests of this process, and another one if that has ended."""
    key = (python, *modules, *environment.items(), *options)
    if key not in _started or not _started[key].is_usable:
        _started[key] = ForkedPython(python, modules, environment, *options)
    return _started[key]
