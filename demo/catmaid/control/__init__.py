"""The work of the application, independent of Celery."""
