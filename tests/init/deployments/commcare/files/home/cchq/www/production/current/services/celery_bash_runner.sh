#!/bin/bash
# On TERM, lets the worker finish in the background while its successor starts.
drain() {
    trap - TERM
    kill -TERM "$child"
    exit 0
}
trap drain TERM
"$@" &
child=$!
wait "$child"
