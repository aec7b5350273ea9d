#!/bin/bash
set -e
source /etc/profile

cd /srv/src/kpi
exec /opt/venv/bin/celery -A kobo beat --loglevel=info \
    --logfile=/srv/logs/celery_beat.log \
    --pidfile=/tmp/celery_beat.pid \
    --scheduler django_celery_beat.schedulers:DatabaseScheduler \
    --uid=kobo \
    --gid=kobo
