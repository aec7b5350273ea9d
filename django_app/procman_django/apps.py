"""The app as Django loads it."""

from django.apps import AppConfig


class ProcmanConfig(AppConfig):
    """The section "Celery" of the admin, and the system checks with the tag `celery`."""

    name = "procman_django"
    verbose_name = "Celery"
    default_auto_field = "django.db.models.AutoField"

    def ready(self):
        """Register the checks, and remember the Celery app that the project has loaded."""
        from . import celery_app, checks

        checks.register()
        celery_app.remember()
