"""Files as procman writes them, of a project whose programs are this process."""

import json
import os
import shutil
import time

from procman_django.processes import boot_id


class State:
    """The state directory of the project `catmaid`, with a worker and a beat."""

    def __init__(self, place, name="catmaid"):
        self.place, self.name = str(place), name
        self.directory = os.path.join(self.place, name)
        shutil.rmtree(self.place, ignore_errors=True)
        self.write(self.manifest(), "generations", "1", "manifest.json")
        os.symlink("generations/1", os.path.join(self.directory, "current"))
        self.heartbeat("catmaid-celery", kind="worker", **self.busy())
        self.heartbeat("catmaid-celery-beat", kind="beat", phase="ticking", **self.entries())
        self.checked(5)
        self.events(None, {"at": time.time() - 60, "program": "catmaid-celery", "what": "restarted", "by": "alice"})

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def write(self, content, *names):
        os.makedirs(os.path.dirname(self.path(*names)), exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content)
        with open(self.path(*names), "w", encoding="utf-8") as file:
            file.write(text)

    def manifest(self, **more):
        programs = [program("catmaid-celery", "worker"), program("catmaid-celery-beat", "beat")]
        return {
            "format": 1,
            "procman": "0.2.0",
            "project": self.name,
            "scope": "system",
            "backend": "systemd",
            "health": {"stale_seconds": 30},
            "programs": [*programs, program("catmaid-web", "command"), program("catmaid-health", "health")],
            **more,
        }

    def heartbeat(self, name, **more):
        now = time.monotonic()
        fields = {
            "format": 1,
            "program": name,
            "kind": "worker",
            "boot_id": boot_id(),
            "pid": os.getpid(),
            "started": now - 100,
            "interval": 5,
            "written": now,
            "wall": time.time(),
            "phase": "consuming",
            "verdict": {"level": "OK", "code": "PM200", "reason": "it is consuming", "remedy": ""},
        }
        self.write({**fields, **more}, "run", name, "heartbeat.json")

    def checked(self, seconds):
        """Let the watcher have checked the programs that many seconds ago."""
        self.write({"format": 1, "boot_id": boot_id(), "cases": []}, "healing.json")
        os.utime(self.path("healing.json"), (time.time() - seconds,) * 2)

    @staticmethod
    def busy():
        task = {"id": "3f1c", "name": "catmaid.crop", "since": time.monotonic() - 70}
        queues = [{"name": "crop", "messages": 3, "consumers": 1, "since": None}]
        return {"node_name": "crop@host", "busy": 1, "slots": 2, "tasks": [task], "queues": queues, "pool": "prefork"}

    @staticmethod
    def entries():
        return {"next_entries": [{"name": "cleanup-cropped-stacks", "due": time.monotonic() + 600}]}

    def events(self, program, *events):
        names = ("events.jsonl",) if program is None else ("run", program, "events.jsonl")
        self.write("".join(json.dumps({"format": 1, **event}) + "\n" for event in events), *names)

    def close(self):
        shutil.rmtree(self.place, ignore_errors=True)


def program(name, kind):
    return {"name": name, "kind": kind, "autostart": True, "launcher": True, "stop_timeout_seconds": 600}
