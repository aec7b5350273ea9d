#!/usr/bin/env bash

PROJECT="/opt/catmaid/django/projects/mysite"
VIRTUALENV="/opt/catmaid/django/env"

echo "Starting celery beat as $(whoami)"

cd $PROJECT
source "$VIRTUALENV/bin/activate"
export PYTHONPATH="$PROJECT:$PYTHONPATH"
exec celery -A mysite beat -l INFO
