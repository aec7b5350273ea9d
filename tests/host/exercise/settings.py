"""The demo's settings, with tasks that use what a sandbox may take away."""

from mysite.settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "exercise"]  # noqa: F405
