"""The demo's Django project; it exposes the Celery app, so that shared tasks find it in every process."""

from mysite.celery import app as celery_app

__all__ = ("celery_app",)
