#!/bin/sh
# The whole way of a user, from nothing to a worker that survives a restart: `make demo` runs it, as root or not.
#
# demo/run.sh PROCMAN PYTHON DIRECTORY
#   PROCMAN    the procman to show
#   PYTHON     makes the demo project's virtualenv
#   DIRECTORY  everything the demo writes; its procman has its own directories below it, so nothing else is touched
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
    [ "$status" -eq 0 ] || { echo "   that ended with status $status" >&2; exit "$status"; }
}

# Succeeds when COMMAND does within so many seconds: until SECONDS COMMAND...
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
# A unix socket's path has at most 107 bytes; a deep checkout gets a short place of its own.
if [ "${#directory}" -gt 60 ]; then
    short=/tmp/procman-demo-$(id -u)-$(printf %s "$directory" | cksum | cut -d ' ' -f 1)
    mkdir -p -m 0700 "$short"
    [ -O "$short" ] || { echo "$short belongs to somebody else" >&2; exit 1; }
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
# A project of its own: by default its data is beside manage.py, where only the owner of the checkout can write.
project=$directory/project
media=$project/var/media
# The demo's settings: old crops are removed every few seconds, not every night.
DEMO_CLEANUP_SECONDS=5
DEMO_CROP_MAX_AGE_SECONDS=3600
export DEMO_CLEANUP_SECONDS DEMO_CROP_MAX_AGE_SECONDS
manage() {
    "$directory/env/bin/python" "$project/manage.py" "$@"
}

step "A Django project with its own virtualenv (demo/, Celery from PyPI, no broker to install)"
if [ ! -x "$directory/env/bin/celery" ]; then
    "$python" -m venv "$directory/env"
    "$directory/env/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
fi
mkdir -p "$media"
for part in manage.py mysite catmaid counting; do
    cp -R "$here/$part" "$project/"
done
echo "   Celery $("$directory/env/bin/celery" --version), Django $(manage version)"

step "procman init finds the project's parts and writes procman.toml"
rm -f "$configuration"
VIRTUAL_ENV=$directory/env
export VIRTUAL_ENV
run "$procman" init "$project" --name catmaid --scope user --output "$configuration"
unset VIRTUAL_ENV
# As root procman does not load the app to ask it about a beat schedule.
grep -q '^\[beat\]' "$configuration" || printf '\n[beat]\n' >> "$configuration"
cat >> "$configuration" <<TOML

# Added by the demo: its settings.py reads these.
[environment]
DEMO_CLEANUP_SECONDS = "$DEMO_CLEANUP_SECONDS"
DEMO_CROP_MAX_AGE_SECONDS = "$DEMO_CROP_MAX_AGE_SECONDS"
TOML

step "procman install starts worker and beat, and waits until they are healthy"
run "$procman" install --wait 60

step "A second install changes nothing and restarts nothing"
run "$procman" install

step "A task of 8 seconds starts, and the worker is restarted meanwhile"
manage crop --list > "$directory/before"
# An old crop, for beat's clean-up to find.
mkdir -p "$media/crops"
touch -d '2 hours ago' "$media/crops/crop_forgotten.tiff"
crop=$(manage crop --seconds 8 | sed -n 's/^sent //p')
echo "   sent crop $crop"
until_true 20 test -e "$media/crops/crop_$crop.tiff.part" || { echo "the task did not start" >&2; exit 1; }
run "$supervisorctl" -c "$supervisord" restart catmaid-celery

step "The task was finished, not lost"
test -e "$media/crops/crop_$crop.tiff" || { echo "crop $crop was lost" >&2; exit 1; }
ls -l "$media/crops/crop_$crop.tiff" | sed 's/^/   /'

step "beat's clean-up removed the old crop"
gone() { [ ! -e "$media/crops/crop_forgotten.tiff" ]; }
until_true 60 gone || { echo "the clean-up did not run" >&2; exit 1; }
echo "   crop_forgotten.tiff, two hours old, is gone"

step "procman status"
healthy() { "$procman" status > /dev/null 2>&1; }
until_true 60 healthy || true
run "$procman" status

cat <<TEXT

It runs on. Look around with:
   export XDG_CONFIG_HOME='$XDG_CONFIG_HOME' XDG_STATE_HOME='$XDG_STATE_HOME' XDG_DATA_HOME='$XDG_DATA_HOME' PROCMAN_CONFIG='$configuration'
   $procman status
   $procman logs -f catmaid-celery
   $supervisorctl -c '$supervisord' restart catmaid-celery
Stop it and remove all of it with:
   make demo-stop
TEXT
