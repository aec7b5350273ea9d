#!/bin/sh
# Ends what demo/run.sh started and removes all of it: `make demo-stop`.
#
# demo/stop.sh PROCMAN DIRECTORY, both as given to demo/run.sh
set -eu

procman=$1
directory=$2

if [ ! -d "$directory" ]; then
    echo "There is no demo to stop."
    exit 0
fi
directory=$(cd "$directory" && pwd)
# A link where the path was too long for a socket.
state=$(readlink -f "$directory/state" || true)
if [ -n "$state" ] && [ -d "$state/procman/catmaid" ]; then
    XDG_CONFIG_HOME=$directory/config XDG_STATE_HOME=$state XDG_DATA_HOME=$directory/share "$procman" --project catmaid uninstall --purge
fi
rm -rf "$directory" "$state"
echo "The demo is stopped and removed, with its schedule."
