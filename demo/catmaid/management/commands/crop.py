"""`manage.py crop`: sends crop tasks, as a click on "crop" does in a real CATMAID, and lists the finished crops."""

import time
import uuid

from django.core.management.base import BaseCommand, CommandError

from catmaid.control.cropping import existing_crops
from catmaid.tasks import process_crop_job


class Command(BaseCommand):
    help = "Send crop tasks to the worker, or list the finished crops."
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("--seconds", type=float, default=5, help="how long each crop takes (default 5)")
        parser.add_argument("--count", type=int, default=1, help="how many tasks to send (default 1)")
        parser.add_argument("--wait", action="store_true", help="wait until the crops are finished")
        parser.add_argument("--timeout", type=float, default=120, help="how many seconds to wait at most (default 120)")
        parser.add_argument("--list", action="store_true", help="list the finished crops instead of sending tasks")

    def handle(self, **options):
        if options["list"]:
            self._print(existing_crops(), "finished")
            return
        names = [uuid.uuid4().hex[:12] for _ in range(options["count"])]
        for name in names:
            process_crop_job.delay(name, options["seconds"])
        self._print(names, "sent")
        if options["wait"]:
            self._wait_for(names, options["timeout"])

    def _wait_for(self, names, timeout):
        end = time.monotonic() + timeout
        missing = list(names)
        while missing:
            finished = [name for name in missing if name in existing_crops()]
            self._print(finished, "finished")
            missing = [name for name in missing if name not in finished]
            if missing and time.monotonic() > end:
                raise CommandError("not finished after %g seconds: %s" % (timeout, " ".join(missing)))
            time.sleep(0.2 if missing else 0)

    def _print(self, names, what):
        for name in names:
            self.stdout.write("%s %s" % (what, name))
