"""The project that the pages show."""

import os
from datetime import datetime
from datetime import timezone as zones

from django.conf import settings
from django.utils import timezone

from . import files, installed, programs
from .values import LATEST


def chosen_project():
    """Return the project to show and why there is none, as a pair with exactly one of them."""
    where = installed.places(getattr(settings, "PROCMAN_STATE_DIRECTORY", None))
    found, problems = installed.installed_projects(where)
    name = getattr(settings, "PROCMAN_PROJECT", None)
    chosen = [project for project in found if name in (None, "", project.name)]
    if len(chosen) == 1:
        return chosen[0], ""
    if chosen:
        return None, _several(chosen)
    return None, _unknown(name, where, problems) if problems else _missing(name, where, found)


def _several(found):
    listed = ", ".join(sorted("%s in %s" % (project.name, project.place) for project in found))
    is_named = len({project.name for project in found}) == 1
    hint = "Set PROCMAN_STATE_DIRECTORY to one of them." if is_named else "Name one in the setting PROCMAN_PROJECT."
    return "Several projects are installed: %s. %s" % (listed, hint)


def _unknown(name, where, problems):
    sought = "the project %s of the setting PROCMAN_PROJECT" % name if name else "a project"
    places = " or ".join(where)
    return "Whether %s is installed in %s is unknown. %s." % (sought, places, ". ".join(problems))


def _missing(name, where, found):
    sought = "The project %s of the setting PROCMAN_PROJECT is not" % name if name else "No project is"
    others = " There are: %s." % ", ".join(sorted(project.name for project in found)) if found else ""
    return (
        "%s installed in %s, as far as the user of this web server (%s) can see.%s A project that another user has "
        "installed in user scope can be seen only by a web server of that user. To install one, type procman install."
    ) % (sought, " or ".join(where), files.user_name(os.geteuid()), others)


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
