#!/usr/bin/env bash
# Build the six tools as they are handed out, and print the folder that they are in. The same source gives the same bytes
# wherever it lies: no path of this machine gets into them.
#   TOOLS     which ones (default all six)
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
read -ra wanted <<<"${TOOLS:-${TOOL_NAMES[*]}}"
CARGO_HOME=$(realpath -m "${CARGO_HOME:-$HOME/.cargo}")
CARGO_TARGET_DIR=$(realpath -m "$CARGO_TARGET_DIR")

flags=()
for place in "$root=." "$CARGO_TARGET_DIR=target" "$CARGO_HOME=cargo"; do
  flags+=("--remap-path-prefix=$place")
done
# Where the linker can, it keeps once what is the same, and leaves out how to unwind, a tenth of each program: a bug ends a
# handed-out one at once.
smaller=("-Wl,--icf=all" "-Wl,--no-eh-frame-hdr" "-T$root/scripts/no-unwinding.ld")
smaller=("${smaller[@]/#/-Clink-arg=}") probe=$(mktemp)
if rustc "${smaller[@]}" --crate-name probe -o "$probe" - <<<'fn main() {}' 2>/dev/null; then flags+=("${smaller[@]}"); fi
rm "$probe"
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && echo "${flags[*]}")
# What the C compiler writes into assertions.
CFLAGS="-ffile-prefix-map=$CARGO_HOME=cargo ${CFLAGS:-}"
export CARGO_HOME CARGO_ENCODED_RUSTFLAGS CFLAGS

# With a target that is named, the flags are for the programs alone: what runs while they are built does unwind.
host=$(rustc -vV | sed -n 's/^host: //p')
cargo build --manifest-path "$root/Cargo.toml" --locked --target "$host" --profile dist "${wanted[@]/#/--bin=}" >&2
echo "$CARGO_TARGET_DIR/$host/dist"
