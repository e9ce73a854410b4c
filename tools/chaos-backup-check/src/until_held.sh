# What every pod of ours does first, run by `sh -c` with F (its folder) set: it waits to be held.
# shellcheck shell=sh
held=0
while [ ! -e "$F/held" ]; do
  held=$((held + 1))
  [ $held -lt 60 ] || { echo "nobody came"; exit 1; }
  sleep 1
done
