"""The demo's Django project; imports the Celery app, so that shared tasks use it in every process."""

from mysite.celery import app as celery_app

__all__ = ("celery_app",)
