#!/bin/sh
# Shows procman from an empty directory to a restart that loses no task: `make demo` runs it, as root or not.
#
# demo/run.sh PROCMAN PYTHON DIRECTORY
#   PROCMAN    the procman command to show
#   PYTHON     the interpreter that creates the demo project's virtualenv
#   DIRECTORY  where the demo writes all of its files, procman's own directories included
set -eu

procman=$1
python=$2
directory=$3
here=$(cd "$(dirname "$0")" && pwd)
number=0

step() {
    number=$((number + 1))
    printf '\n\033[1m%d. %s\033[0m\n' "$number" "$1"
}

run() {
    printf '   $ %s\n' "$*" | sed "s|$procman|procman|g"
    status=0
    "$@" > "$directory/output" 2>&1 || status=$?
    sed 's/^/   /' "$directory/output"
    [ "$status" -eq 0 ] || { echo "   failed with exit status $status" >&2; exit "$status"; }
}

# until_true SECONDS COMMAND...: succeeds if COMMAND succeeds within SECONDS.
until_true() {
    left=$1
    shift
    while ! "$@"; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || return 1
        sleep 1
    done
}

mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
# The path of a unix socket has at most 107 bytes: for a deeply nested checkout, use a short directory in /tmp.
if [ "${#directory}" -gt 60 ]; then
    short=/tmp/procman-demo-$(id -u)-$(printf %s "$directory" | cksum | cut -d ' ' -f 1)
    mkdir -p -m 0700 "$short"
    [ -O "$short" ] || { echo "$short belongs to another user; remove it" >&2; exit 1; }
    ln -sfn "$short" "$directory/state"
    XDG_STATE_HOME=$short
else
    XDG_STATE_HOME=$directory/state
fi
XDG_CONFIG_HOME=$directory/config
XDG_DATA_HOME=$directory/share
export XDG_CONFIG_HOME XDG_STATE_HOME XDG_DATA_HOME
supervisord=$XDG_CONFIG_HOME/procman/supervisor/supervisord.conf
supervisorctl=$(dirname "$procman")/supervisorctl
configuration=$directory/procman.toml
PROCMAN_CONFIG=$configuration
export PROCMAN_CONFIG
# A copy of the project, because its data is beside manage.py, and only its owner can write to the checkout.
project=$directory/project
media=$project/var/media
# Remove old crops every few seconds instead of every night.
DEMO_CLEANUP_SECONDS=5
DEMO_CROP_MAX_AGE_SECONDS=3600
export DEMO_CLEANUP_SECONDS DEMO_CROP_MAX_AGE_SECONDS
manage() {
    "$directory/env/bin/python" "$project/manage.py" "$@"
}

step "Create a Django project with its own virtualenv (from demo/, with Celery from PyPI and no broker)"
if [ ! -x "$directory/env/bin/celery" ]; then
    "$python" -m venv "$directory/env"
    "$directory/env/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
fi
mkdir -p "$media"
for part in manage.py mysite catmaid counting; do
    cp -R "$here/$part" "$project/"
done
echo "   Celery $("$directory/env/bin/celery" --version), Django $(manage version)"

step "Describe it: procman init finds the app and writes procman.toml"
rm -f "$configuration"
VIRTUAL_ENV=$directory/env
export VIRTUAL_ENV
run "$procman" init "$project" --name catmaid --scope user --output "$configuration"
unset VIRTUAL_ENV
# As root, procman does not import the app, so it cannot find the beat schedule.
grep -q '^\[beat\]' "$configuration" || printf '\n[beat]\n' >> "$configuration"
# With a broker that is a directory, a worker without a free slot does not answer Celery's remote control.
sed -i 's/^# concurrency = .*/concurrency = 4/' "$configuration"
cat >> "$configuration" <<TOML

# Added by demo/run.sh: settings.py of the project reads these.
[environment]
DEMO_CLEANUP_SECONDS = "$DEMO_CLEANUP_SECONDS"
DEMO_CROP_MAX_AGE_SECONDS = "$DEMO_CROP_MAX_AGE_SECONDS"
TOML

step "Install it: procman starts worker and beat and waits until they are healthy"
run "$procman" install --wait 60

step "Install it again: nothing has changed, so nothing is restarted"
run "$procman" install

step "Restart the worker while it runs a task of 8 seconds"
manage crop --list > "$directory/before"
# An old crop, which the clean-up task should remove.
mkdir -p "$media/crops"
touch -d '2 hours ago' "$media/crops/crop_forgotten.tiff"
crop=$(manage crop --seconds 8 | sed -n 's/^sent //p')
echo "   sent crop $crop"
until_true 20 test -e "$media/crops/crop_$crop.tiff.part" || { echo "   the task did not start" >&2; exit 1; }
echo "   the worker has started it"
run "$procman" restart celery

step "The worker finished the task before it stopped: no task is lost"
test -e "$media/crops/crop_$crop.tiff" || { echo "   crop $crop was lost" >&2; exit 1; }
ls -l "$media/crops/crop_$crop.tiff" | sed 's/^/   /'

step "Beat works, too: its clean-up task removed an old crop"
gone() { [ ! -e "$media/crops/crop_forgotten.tiff" ]; }
until_true 60 gone || { echo "   the clean-up did not run" >&2; exit 1; }
echo "   crop_forgotten.tiff, two hours old, was removed"

step "Look at the programs"
healthy() { "$procman" status > /dev/null 2>&1; }
until_true 60 healthy || true
run "$procman" status

cat <<TEXT

The demo is still running. To look around, paste this line:
   export XDG_CONFIG_HOME='$XDG_CONFIG_HOME' XDG_STATE_HOME='$XDG_STATE_HOME' XDG_DATA_HOME='$XDG_DATA_HOME' PROCMAN_CONFIG='$configuration'
and then, for example:
   $procman status
   $procman logs -f celery
   $procman restart celery
   $supervisorctl -c '$supervisord' restart catmaid-celery
To stop it and remove all of its files:
   make demo-stop
TEXT
