#!/usr/bin/env bash
# Hold the tools against the API servers and controllers of other versions of Kubernetes than that of the test cluster.
#   VERSIONS   which (default: two back and one ahead)
#   PROGRAMS   the folder of the tools (default: they are built)
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
read -ra versions <<<"${VERSIONS:-1.32 1.33 1.35}"
"$root/scripts/setup.sh"
"$root/tests/cluster/build.sh"
if [ -z "${PROGRAMS:-}" ]; then
  cargo build --release --quiet --manifest-path "$root/Cargo.toml" --bin chaos-health --bin chaos-inject
  PROGRAMS=$CARGO_TARGET_DIR/release
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0 port=17443
for version in "${versions[@]}"; do
  control=$("$root/tests/versions/build.sh" "$version")
  say "Kubernetes $version"
  KUBE_APISERVER=$control "$root/scripts/bench/apiserver.sh" "$work/$version" $port \
    "$root/tests/versions/check.sh" "$work/$version" $port "$(realpath "$PROGRAMS")" "$control" || status=1
  port=$((port + 10))
done
exit $status
