#!/bin/sh
# Serves the admin of the demo on the loopback interface, until Ctrl-C: `make demo-web` runs it, as root or not.
#
# demo/web.sh PROCMAN PYTHON DIRECTORY [PORT], the first three as given to demo/run.sh, which it runs first if need be
set -eu

procman=$1
python=$2
directory=$3
port=${4:-8000}
here=$(cd "$(dirname "$0")" && pwd)

if [ ! -e "$directory/procman.toml" ] || [ ! -d "$directory/project" ]; then
    sh "$here/run.sh" "$procman" "$python" "$directory"
fi
directory=$(cd "$directory" && pwd)
XDG_STATE_HOME=$directory/state
DJANGO_SETTINGS_MODULE=mysite.web
DEMO_PROJECT=catmaid
PYTHONPATH=$here/../django_app
PYTHONDONTWRITEBYTECODE=1
export XDG_STATE_HOME DJANGO_SETTINGS_MODULE DEMO_PROJECT PYTHONPATH PYTHONDONTWRITEBYTECODE
manage() {
    "$directory/env/bin/python" "$directory/project/manage.py" "$@"
}

# The settings may be newer than the installed demo.
cp -R "$here/mysite" "$directory/project/"
manage migrate --verbosity 0
DEMO_PASSWORD=$("$directory/env/bin/python" -c 'import secrets; print(secrets.token_urlsafe(12))')
export DEMO_PASSWORD
# Through the environment: every user can read a command line.
manage shell -c '
import os
from django.contrib.auth.models import User
user, _ = User.objects.get_or_create(username="admin", defaults={"is_staff": True, "is_superuser": True})
user.set_password(os.environ["DEMO_PASSWORD"])
user.save()
' > /dev/null
cat <<TEXT

   address   http://127.0.0.1:$port/admin/procman_django/program/
   user      admin
   password  $DEMO_PASSWORD

To see a task running, type in another terminal:
   $directory/env/bin/python $directory/project/manage.py crop --seconds 300
Ctrl-C ends the web server. To stop the demo and remove its files:
   make demo-stop
TEXT
unset DEMO_PASSWORD
exec "$directory/env/bin/python" "$directory/project/manage.py" runserver --noreload "127.0.0.1:$port"
