"""Keep a Django project's Celery workers and beat running, under supervisord or systemd."""
