#!/usr/bin/env bash

PROJECT="/opt/catmaid/django/projects/mysite"
VIRTUALENV="/opt/catmaid/django/env"

echo "Starting celery worker as $(whoami)"

cd $PROJECT
source "$VIRTUALENV/bin/activate"
export PYTHONPATH="$PROJECT:$PYTHONPATH"
exec celery -A mysite worker -l INFO
