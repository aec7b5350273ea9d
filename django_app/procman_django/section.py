"""The project that the pages show."""

from datetime import datetime
from datetime import timezone as zones

from django.conf import settings
from django.utils import timezone

from . import installed, programs
from .values import LATEST


def chosen_project():
    """Return the project to show and why there is none, as a pair with exactly one of them."""
    where = installed.places(getattr(settings, "PROCMAN_STATE_DIRECTORY", None))
    found, problems = installed.installed_projects(where)
    name = getattr(settings, "PROCMAN_PROJECT", None)
    if name:
        found = [project for project in found if project.name == name]
    if len(found) == 1:
        return found[0], ""
    if found:
        names = ", ".join(sorted(project.name for project in found))
        return None, "Several projects are installed (%s). Name one in the setting PROCMAN_PROJECT." % names
    sought = "The project %s is" % name if name else "No project is"
    problem = "%s installed in %s, as far as the user of this web server can see." % (sought, " or ".join(where))
    return None, " ".join([problem, *problems])


def shown_programs():
    """Return the programs of the project; none if there is no project."""
    project, _ = chosen_project()
    return programs.view_of(project).programs if project else []


def moment(seconds):
    """Return a time in seconds since the epoch for a template, in the project's time zone; None if it is unknown."""
    if seconds is None or not 0 <= seconds < LATEST:
        return None
    # Without USE_TZ, templates do not convert it.
    return timezone.localtime(datetime.fromtimestamp(seconds, zones.utc))
