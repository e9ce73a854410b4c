#!/usr/bin/env bash
# Makes what the bench of backups reads, once: a gigabyte of a shop's rows, as the dumps of a real PostgreSQL 17 with each
# codec, as a tar.gz, and a tenth of that as a small tar.gz. PostgreSQL refuses to run as root.
# usage: backup-data.sh FOLDER POSTGRES   (run by backup.sh)
set -euo pipefail
out=$1 bin=$2/17/bin
here=$(dirname "${BASH_SOURCE[0]}")
work=$(mktemp -d)
trap '"$bin/pg_ctl" -D "$work/data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
mkdir "$work/files"
for table in users=1500000 products=200000 orders=2200000 order_items=6300000 events=2200000; do
  [ -e "$work/files/${table%=*}.tsv" ] || python3 "$here/rows.py" "${table%=*}" "${table#*=}" >"$work/files/${table%=*}.tsv"
done
export PGUSER=postgres PGTZ=UTC LC_ALL=C.UTF-8 PGHOST=$work
"$bin/initdb" -D "$work/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >/dev/null
"$bin/pg_ctl" -D "$work/data" -w -l "$work/log" -o "-c listen_addresses='' -c fsync=off -c wal_level=minimal -c max_wal_senders=0 -k '$work'" start >/dev/null
"$bin/createdb" shop
"$bin/psql" -qX -v ON_ERROR_STOP=1 shop <<SQL
CREATE TABLE users (id bigint PRIMARY KEY, email text, name text, city text, created timestamptz, active boolean, token text);
CREATE TABLE products (id bigint PRIMARY KEY, sku text, name text, description text, price numeric(10,2), stock int);
CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint, status text, placed timestamptz, total numeric(10,2), address text, note text);
CREATE TABLE order_items (order_id bigint, product_id bigint, quantity int, price numeric(10,2));
CREATE TABLE events (id uuid PRIMARY KEY, at timestamptz, kind text, user_id bigint, payload jsonb);
\copy users FROM '$work/files/users.tsv'
\copy products FROM '$work/files/products.tsv'
\copy orders FROM '$work/files/orders.tsv'
\copy order_items FROM '$work/files/order_items.tsv'
\copy events FROM '$work/files/events.tsv'
SQL
for codec in gzip zstd lz4 none; do
  "$bin/pg_dump" -Fc -Z "$codec" shop -f "$work/$codec.dump"
  mv "$work/$codec.dump" "$out"
done
tar -C "$work" -czf "$work/large.tar.gz" files
for file in "$work"/files/*.tsv; do
  head -c $(($(stat -c %s "$file") / 10)) "$file" >"$file.part"
  mv "$file.part" "$file"
done
tar -C "$work" -czf "$work/small.tar.gz" files
mv "$work"/*.tar.gz "$out"
