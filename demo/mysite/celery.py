"""The Celery app: `celery -A mysite`."""

import os

from celery import Celery

from mysite import broker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")

broker.register()
app = Celery("mysite")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
