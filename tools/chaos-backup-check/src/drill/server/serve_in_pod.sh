# What a pod of a drill does, run by `sh -c` with F (its folder), U (the superuser) and PRELOAD (the
# libraries that the server loads) set: it becomes the server. PATH is set before.
# shellcheck shell=sh
mkdir -p "$F/data" && chmod 700 "$F/data" || exit 1
initdb --username="$U" --auth=trust --encoding=UTF8 --no-locale --no-sync -D "$F/data" \
  >/dev/null || exit 1
exec postgres -D "$F/data" -k "$F" -c listen_addresses= -c fsync=off -c full_page_writes=off \
  -c synchronous_commit=off -c autovacuum=off -c max_wal_senders=0 -c wal_level=minimal \
  -c max_connections=10 -c dynamic_shared_memory_type=mmap \
  -c shared_preload_libraries="${PRELOAD:-}"
