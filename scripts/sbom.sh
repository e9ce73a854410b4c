#!/usr/bin/env bash
# Print a bill of materials (CycloneDX, JSON) of the six programs: every crate in them, with its version, licence and
# checksum. It has no time but SOURCE_DATE_EPOCH, and no path of this machine.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
wanted=0.5.9
[ "$(cargo cyclonedx --version 2>/dev/null | grep -o '[0-9.]*$')" = $wanted ] ||
  cargo install --quiet --locked "cargo-cyclonedx@$wanted" >&2
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-0}

# It writes beside each Cargo.toml, so it is given a copy.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
tar -C "$root" --exclude=./tests/fuzz -cf - ./Cargo.toml ./Cargo.lock ./common ./tools ./tests | tar -C "$copy" -xf -
cargo cyclonedx --manifest-path "$copy/Cargo.toml" --format json --all --quiet >&2
boms=()
for tool in "${TOOL_NAMES[@]}"; do
  boms+=("$copy/tools/$tool/$tool.cdx.json")
done
# One bill of all. What one program is only built with may be in another.
jq -n --arg version "$version" '
  [inputs] as $boms
  | ($boms | map(.metadata.component)) as $programs
  | {bomFormat: "CycloneDX", specVersion: $boms[0].specVersion, version: 1,
     metadata: ($boms[0].metadata + {component: {type: "application", "bom-ref": "chaos-runbook",
       name: "chaos-runbook", version: $version, licenses: [{expression: "MIT OR Apache-2.0"}]}}),
     components: ([$programs[], $boms[].components[]] | group_by(."bom-ref") | map(max_by(.scope == "required"))),
     dependencies: ([$boms[].dependencies[]] | group_by(.ref)
       | map({ref: .[0].ref, dependsOn: (map(.dependsOn // []) | add | unique)})
       + [{ref: "chaos-runbook", dependsOn: ($programs | map(."bom-ref"))}])}
' "${boms[@]}" | sed "s|$copy|/chaos-runbook|g"
