"""An app whose beat waits for RedBeat's lock, as on a standby host."""

from celery import Celery

app = Celery("standby", broker="redis://127.0.0.1:6379/1")
app.conf.redbeat_redis_url = "redis://127.0.0.1:6379/0"
app.conf.beat_schedule = {"echo": {"task": "counting.tasks.echo", "schedule": 3600.0, "args": (1,)}}
