#!/usr/bin/env bash
# Write the monthly report and mail it to the team and the management; for cron.
# usage: monthly.sh [OPTION OF chaos-report monthly]…   (chaos.toml as for every tool)
set -euo pipefail
chaos-report monthly "$@" </dev/null | chaos-notify monthly
