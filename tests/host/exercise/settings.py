"""The demo's settings, with tasks that use features that a sandbox may block."""

from mysite.settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "exercise"]  # noqa: F405
