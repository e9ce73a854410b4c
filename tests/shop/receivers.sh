#!/usr/bin/env bash
# Receive what the shop's people would: mail in DIR/maildir, webhooks in DIR/webhooks.ndjson; on the loopback only.
# usage: receivers.sh start|stop|status DIR   (SMTP_PORT, default 2525; HOOK_PORT, default 8025)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
usage="usage: receivers.sh start|stop|status DIR"
action=${1:?$usage}
dir=$(realpath -m "${2:?$usage}")
SMTP_PORT=${SMTP_PORT:-2525} HOOK_PORT=${HOOK_PORT:-8025}
pidfile=$dir/receivers.pid
die() { echo "receivers.sh: $*" >&2; exit 1; }

# running: prints the pid if it is this folder's receiver, and not a process that was given its number later.
running() {
  local pid argv
  pid=$(cat "$pidfile" 2>/dev/null) || return 1
  mapfile -d '' -t argv 2>/dev/null <"/proc/$pid/cmdline" || return 1
  [[ " ${argv[*]} " = *" $here/receivers.py $dir "* ]] && echo "$pid"
}
listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

case $action in
  start)
    if running >/dev/null; then echo "the receivers run already" >&2; exit 0; fi
    for port in "$SMTP_PORT" "$HOOK_PORT"; do
      ! listening "$port" || die "port $port of 127.0.0.1 is taken; choose others with SMTP_PORT and HOOK_PORT"
    done
    # The system's Python, for which setup.sh installs the mail server, whatever else is first in PATH.
    /usr/bin/python3 -c 'import aiosmtpd' 2>/dev/null || die "no aiosmtpd here; scripts/setup.sh gets it"
    mkdir -p "$dir"
    nohup /usr/bin/python3 "$here/receivers.py" "$dir" "$SMTP_PORT" "$HOOK_PORT" >"$dir/receivers.log" 2>&1 </dev/null &
    receivers=$!
    echo "$receivers" >"$pidfile"
    for ((tries = 0; tries < 300; tries++)); do
      if listening "$SMTP_PORT" && listening "$HOOK_PORT"; then exit 0; fi
      # By its name it is not known yet while it is still this shell's copy.
      kill -0 "$receivers" 2>/dev/null || break
      sleep 0.05
    done
    die "the receivers did not start: $(tail -n 1 "$dir/receivers.log")"
    ;;
  stop)
    pid=$(running) || { rm -f "$pidfile"; exit 0; }
    kill "$pid"
    for ((tries = 0; tries < 100; tries++)); do
      running >/dev/null || { rm -f "$pidfile"; exit 0; }
      sleep 0.05
    done
    die "process $pid does not end"
    ;;
  status)
    pid=$(running) || { echo "not running"; exit 1; }
    echo "running as $pid, keeping what comes in $dir"
    ;;
  *) die "$usage" ;;
esac
