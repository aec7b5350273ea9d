"""Pass on to the installed command: `manage.py procman status` is `procman status`."""

import os
import shutil

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

USUAL = ("/usr/local/bin/procman", "/opt/procman/bin/procman")


class Command(BaseCommand):
    """Replace this process by the procman command, with the words that follow."""

    help = "Runs the installed procman command with the arguments that follow."
    requires_system_checks = []

    def run_from_argv(self, argv):
        """Run procman with all words after its name, options included; without a first --."""
        command = find_procman()
        if command is None:
            self.stderr.write(
                "No procman command is installed. To install it, type sudo pipx install --global . in a clone of its "
                "repository, or with celery-procman in place of the dot once that is on PyPI. The setting "
                "PROCMAN_COMMAND names one that is not on the PATH."
            )
            raise SystemExit(1)
        try:
            words = argv[3:] if argv[2:3] == ["--"] else argv[2:]
            os.execv(command, [command, *words])  # noqa: S606  # no shell
        except OSError as error:
            # Such as a script of a virtualenv that was removed.
            self.stderr.write("%s cannot be run: %s" % (command, error.strerror))
            raise SystemExit(1) from None

    def handle(self, *_, **__):
        """Refuse a call from code, which this command would not return from."""
        raise CommandError("procman can be run from the command line only")


def find_procman():
    """Return the path of the procman command; None if there is none."""
    chosen = getattr(settings, "PROCMAN_COMMAND", None)
    if chosen:
        return shutil.which(chosen)
    return next(filter(None, map(shutil.which, ("procman", *USUAL))), None)
