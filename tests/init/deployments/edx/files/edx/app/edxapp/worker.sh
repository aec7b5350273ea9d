#!/usr/bin/env bash

source @ROOT@/edx/app/edxapp/edxapp_env
export NEW_RELIC_CONFIG_FILE="/edx/app/edxapp/newrelic.ini"
if command -v ec2metadata >/dev/null 2>&1; then
  INSTANCEID=$(ec2metadata --instance-id);
  export NEW_RELIC_PROCESS_HOST_DISPLAY_NAME="$INSTANCEID"
fi

exec /edx/app/edxapp/venvs/edxapp/bin/newrelic-admin run-program /edx/app/edxapp/venvs/edxapp/bin/celery $@
