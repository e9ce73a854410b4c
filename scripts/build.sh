#!/usr/bin/env bash
# Build the six tools as they are handed out, and print the folder that they are in. The same source gives the same bytes
# wherever it lies: no path of this machine gets into them.
#   PROFILE   of Cargo.toml (default dist)
#   TOOLS     which ones (default all six)
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
profile=${PROFILE:-dist}
read -ra wanted <<<"${TOOLS:-${TOOL_NAMES[*]}}"
cargo_home=$(realpath -m "${CARGO_HOME:-$HOME/.cargo}")

flags=()
for place in "$root=." "$(realpath -m "$CARGO_TARGET_DIR")=target" "$cargo_home=cargo"; do
  flags+=("--remap-path-prefix=$place")
done
# What is the same is kept once, where the linker can tell.
fold=-Clink-arg=-Wl,--icf=all probe=$(mktemp)
if rustc "$fold" --crate-name probe -o "$probe" - <<<'fn main() {}' 2>/dev/null; then flags+=("$fold"); fi
rm "$probe"
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && echo "${flags[*]}")
# What the C compiler writes into assertions.
CFLAGS="-ffile-prefix-map=$cargo_home=cargo ${CFLAGS:-}"
export CARGO_ENCODED_RUSTFLAGS CFLAGS

cargo build --manifest-path "$root/Cargo.toml" --locked --profile "$profile" "${wanted[@]/#/--bin=}" >&2
echo "$CARGO_TARGET_DIR/$profile"
