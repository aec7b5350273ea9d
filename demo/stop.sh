#!/bin/sh
# Stops what demo/run.sh started and removes all of its files: `make demo-stop`.
#
# demo/stop.sh PROCMAN DIRECTORY, both as given to demo/run.sh
set -eu

procman=$1
directory=$2

if [ ! -d "$directory" ]; then
    echo "No demo is running."
    exit 0
fi
directory=$(cd "$directory" && pwd)
# A link, if the path was too long for a socket.
state=$(readlink -f "$directory/state" || true)
if [ -n "$state" ] && [ -d "$state/procman/catmaid" ]; then
    echo "Stopping the demo; a running task is finished first."
    # The uninstall lists beat's schedule as kept, but here that is removed, too: show its output only if it fails.
    if ! XDG_CONFIG_HOME=$directory/config XDG_STATE_HOME=$state XDG_DATA_HOME=$directory/share \
        "$procman" --project catmaid uninstall --purge > "$directory/output" 2>&1; then
        cat "$directory/output" >&2
        exit 1
    fi
fi
rm -rf "$directory" "$state"
echo "The demo is stopped and all of its files are removed."
