"""The demo's settings, with a database on the same host and tasks that use features that a sandbox may block."""

from mysite.settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "exercise"]  # noqa: F405
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "catmaid"}}
