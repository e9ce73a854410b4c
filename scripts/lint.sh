#!/usr/bin/env bash
# Formatting, clippy, licences and sources of what we build on, shell scripts, Go. Each prints its name; the first that fails ends it.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$root"
"$root/scripts/setup.sh"
step=${1:-all}
if [ "$step" = all ]; then set -- format clippy deny shell; fi
for step in "$@"; do
  case $step in
    format) cargo fmt --all --check && (cd tests && test -z "$(gofmt -l cluster shop/app versions)") ;;
    clippy) cargo clippy --workspace --all-targets --quiet -- -D warnings ;;
    deny)
      command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
      # Advisories need a network that a test machine may not have; licences, sources and bans do not.
      cargo deny check bans licenses sources
      ;;
    shell) find . -name '*.sh' -not -path './target/*' -print0 | xargs -0 shellcheck -x .ci/run ;;
    *) die "no such step: $step" ;;
  esac
  echo "lint: $step is clean"
done
