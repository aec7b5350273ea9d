"""Celery's command line, written and read."""
