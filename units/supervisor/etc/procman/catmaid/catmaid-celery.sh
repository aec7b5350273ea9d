#!/bin/sh
# Written by procman for catmaid: change procman.toml and run `procman install`.
# Starts catmaid-celery. supervisord runs this script as www-data. By hand, once the program is stopped:
#   runuser -u www-data -- /etc/procman/catmaid/catmaid-celery.sh
if [ "$(id -u)" != "$(id -u www-data)" ]; then
    echo "$0 must be run as www-data: what it writes would belong to the wrong user" >&2
    exit 77
fi

# supervisord changes the user but leaves these variables as they were for root. The shell expands ~www-data.
HOME=~www-data USER=www-data LOGNAME=www-data
export HOME USER LOGNAME

# Activate the virtualenv as its bin/activate does, and set the variables that Django and Celery need.
unset PYTHONHOME
export VIRTUAL_ENV=/opt/catmaid/django/env
export PATH=/opt/catmaid/django/env/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PYTHONPATH=/opt/catmaid/django/projects
export DJANGO_SETTINGS_MODULE=mysite.settings
export LANG=C.UTF-8
export PYTHONUNBUFFERED=1
export PROCMAN_PROGRAM=catmaid-celery
export PROCMAN_KIND=worker
export PROCMAN_DIRECTORY=/opt/catmaid/django/projects
export PROCMAN_RUN_DIRECTORY=/var/lib/procman/catmaid/run/catmaid-celery
export PROCMAN_HEARTBEAT_SECONDS=5
export PROCMAN_STALE_SECONDS=30
export PROCMAN_STALL_SECONDS=300
export PROCMAN_INTERVAL_SECONDS=30
export PROCMAN_FAILURES=3
export PROCMAN_HEAL=1
export PROCMAN_RESTARTS_PER_HOUR=3
export PROCMAN_STOP_TIMEOUT_SECONDS=3600
export PROCMAN_HOLD_FILE=/var/lib/procman/catmaid/holds/catmaid-celery.json

cd /opt/catmaid/django/projects || exit 1
umask 022

# The launcher ends the program if this parent is killed, so that the next supervisord does not start it twice.
export PROCMAN_PARENT_PID="$PPID"

exec /opt/catmaid/django/env/bin/python /usr/local/lib/procman/catmaid/launcher.py -A mysite worker -l info -E -n catmaid-celery@%h -c 1
