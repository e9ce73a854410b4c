#!/usr/bin/env bash
# The tools against API servers of other versions, two back and two ahead of the test cluster's: health, plans, the writes of
# experiments and their undo, and rights. The rest of each cluster is the test cluster's.
# usage: versions.sh [VERSION…]
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[ $# -gt 0 ] || set -- 1.32.13 1.33.13 1.35.4 1.36.3
tests=(
  health::the_whole_shop_is_healthy experiments::every_experiment_has_a_plan experiments::pod_failure
  experiments::a_partition_is_proven experiments::stress_is_felt experiments::storage_goes experiments::a_workload_does_with
  experiments::names_fail undo::when_tool_and_guardian_are_killed undo::when_the_guardian_dies granted:: fleet::
)
unset CONTEXT # faults at will, so it is always a throw-away cluster
"$root/scripts/setup.sh"
say "building the tools and their tests"
(cd "$root" && cargo build --quiet --workspace --bins)
program=$(cd "$root" && cargo test --no-run -p chaos-tests --test e2e --message-format=json 2>/dev/null |
  jq -r 'select(.target.name? == "e2e" and .executable) | .executable')
export STATE=$CHAOS_CACHE/other-version NODE_IP=10.89.2.1 HOST_IP=10.89.2.2 HOST_IF=chaos-other CGROUP=chaos-other
failed=0
for version; do
  say "Kubernetes $version"
  KUBE_APISERVER=$("$root/tests/apiserver/build.sh" "$version")
  export KUBE_APISERVER
  CHAOS_TEST_KUBECONFIG=$("$root/tests/cluster/up.sh")
  export CHAOS_TEST_KUBECONFIG
  (cd "$root/tests" && CARGO_MANIFEST_DIR=$root/tests "$program" --include-ignored --test-threads=256 --quiet "${tests[@]}" </dev/null) ||
    failed=1
  "$root/tests/cluster/down.sh"
done
[ $failed = 0 ]
