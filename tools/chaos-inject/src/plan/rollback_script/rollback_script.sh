#!/bin/sh
# Rollback of the experiment @@EXPERIMENT@@ in namespace @@NAMESPACE@@ of @@SERVER@@.
# It needs kubectl and nothing else. What no experiment has touched is left as it is.
#
# usage: $0 [--dry-run] [--emergency]
#   --dry-run    let the API server check every step, and change nothing
#   --emergency  ask nothing, go on past errors, and list them at the end
#
# Contacts:
@@CONTACTS@@
set -u
dry_run='' emergency='' failed=''
for argument in "$@"; do
  case $argument in
    --dry-run) dry_run=--dry-run=server ;;
    --emergency) emergency=yes ;;
    *) sed -n '2,/^set -u/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
done
if [ -z "$dry_run$emergency" ] && [ -t 0 ]; then
  printf 'Roll back %s in namespace %s? Type yes to go on: ' @@QUOTED_EXPERIMENT@@ @@QUOTED_NAMESPACE@@
  read -r answer
  [ "$answer" = yes ] || { echo "nothing was changed"; exit 4; }
fi
step() {
  printf '+ %s\n' "$*"
  "$@" && return
  printf 'FAILED: %s\n' "$*" >&2
  [ -n "$emergency" ] || exit 5
  failed="$failed
  $*"
}
# set_back OBJECT NAMESPACE TYPE PATCH: only what carries the label of a run is an experiment's doing.
# shellcheck disable=SC2317,SC2329 # an experiment may change no field
set_back() {
  run=$(kubectl get "$1" ${2:+-n "$2"} -o 'jsonpath={.metadata.labels.@@RUN_LABEL@@}') || {
    step kubectl get "$1" ${2:+-n "$2"}
    return
  }
  if [ -z "$run" ]; then
    printf "%s carries no run's label: left as it is\n" "$1"
    return
  fi
  step kubectl patch "$1" ${2:+-n "$2"} "--type=$3" -p "$4" ${dry_run:+"$dry_run"}
}
echo "Starting rollback procedure..."
@@STEPS@@
if [ -z "$dry_run" ]; then
@@WAITS@@
fi
if [ -n "$failed" ]; then
  printf 'NOT RESTORED, these steps failed:%s\n' "$failed" >&2
  exit 5
fi
echo "Rollback procedure completed"
