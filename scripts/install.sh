#!/usr/bin/env bash
# Put the tools in place with their man pages, completions, scripts, example configuration and documentation, or take
# them away again.
# usage: install.sh [install | uninstall]
#   PREFIX    below which (default /usr/local)
#   DESTDIR   a folder to put before PREFIX, for those who make packages
#   PROGRAMS  the folder of the six programs (default: they are built)
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# The scripts that are for users. The others in scripts/ are for those who work on this repository.
for_users=(experiment gameday abort critical nightly-backup-check performance-test monthly quarterly yearly)
PREFIX=${PREFIX:-/usr/local}
export LC_ALL=C
[[ $PREFIX = /* ]] || PREFIX=$PWD/$PREFIX
into=${DESTDIR:-}$PREFIX
# What was put in place, one file a line, and with a / at its end each folder that was made for it.
list=share/chaos-runbook/installed

# may_write FOLDER…: whether files can be put into these folders below $into, and into those that have to be made.
may_write() {
  local folder
  for folder in "$@"; do
    folder=$into/$folder
    while [ ! -e "$folder" ]; do folder=$(dirname "$folder"); done
    [ -d "$folder" ] || die "$folder is not a folder; nothing was changed"
    [ -w "$folder" ] || die "you may not write to $folder; nothing was changed. Name another place (make install \
PREFIX=\$HOME/.local), or build first and put in place as root (make build, then sudo make install PROGRAMS=FOLDER)"
  done
}

# stage FOLDER: all that is to be put in place, with its modes, whatever the umask.
stage() {
  local stage=$1 tool script own=$1/share/chaos-runbook documents=$1/share/doc/chaos-runbook
  mkdir -p "$stage/bin" "$own/scripts" "$documents/docs"
  for tool in "${TOOL_NAMES[@]}"; do
    install -m 755 "$PROGRAMS/$tool" "$stage/bin/$tool"
    "$PROGRAMS/$tool" --write-manual "$stage/share"
    # kubectl finds "chaos health" under this name, and "chaos backup-check" with an underscore in it.
    script=${tool#chaos-}
    ln -s "$tool" "$stage/bin/kubectl-chaos-${script//-/_}"
  done
  for script in "${for_users[@]}"; do
    install -m 755 "$root/scripts/$script.sh" "$own/scripts/"
  done
  install -m 644 "$root/scripts/ecommerce.toml" "$own/"
  cp -R "$root/scripts/kubernetes" "$own/"
  install -m 644 "$root"/{README,CHANGELOG,SECURITY}.md "$root"/LICENSE-* "$documents/"
  cp -R "$root"/docs/. "$documents/docs/"
  find "$stage" -type d -exec chmod 755 {} +
  find "$stage/share" -type f ! -name '*.sh' -exec chmod 644 {} +
}

# earlier FILES|FOLDERS: what is on the list of what was installed before.
earlier() {
  [ -e "$into/$list" ] || return 0
  ! grep -nE '^/|(^|/)\.\.(/|$)' "$into/$list" >&2 || die "$into/$list names places outside of $into; nothing was changed"
  case $1 in
    files) grep -v '/$' "$into/$list" || true ;;
    folders) grep '/$' "$into/$list" || true ;;
  esac
}

# remove: the files and, from the innermost on, the empty ones of the folders that standard input names.
remove() {
  local name
  sort -r | while IFS= read -r name; do
    name=${name#./}
    if [[ -z $name || $name = */ ]]; then
      rmdir --ignore-fail-on-non-empty "$into/$name" 2>/dev/null || true
    elif [ -L "$into/$name" ] || [ ! -d "$into/$name" ]; then
      rm -f "$into/$name"
    fi
  done
}

put_in_place() {
  local folder
  file=none
  may_write bin share/{chaos-runbook,doc,man/man1,bash-completion/completions,zsh/site-functions,fish/vendor_completions.d}
  if [ -z "${PROGRAMS:-}" ]; then
    PROGRAMS=$("$root/scripts/build.sh")
  fi
  for file in "${TOOL_NAMES[@]}"; do
    [ -x "$PROGRAMS/$file" ] || die "there is no program $file in $PROGRAMS; nothing was changed"
  done
  umask 022
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  stage "$work/new"
  earlier files | sort >"$work/old-files"
  {
    earlier folders
    for folder in . $(cd "$work/new" && find . -mindepth 1 -type d -printf '%P\n'); do
      [ -e "$into/$folder" ] || echo "$folder/"
    done
  } | sort -u >"$work/folders"
  { (cd "$work/new" && find . ! -type d -printf '%P\n') && echo "$list"; } | sort >"$work/files"
  # The list comes first: what is left half done is put right by doing it again, or is taken away.
  mkdir -p "$into/${list%/*}"
  sort -u "$work"/{folders,files,old-files} >"$into/$list.part"
  mv "$into/$list.part" "$into/$list"
  trap broke_off EXIT
  while IFS= read -r file; do
    [ "$file" != "$list" ] || continue
    mkdir -p "$into/$(dirname "$file")"
    # In one step, so that nobody starts half a program, and one that runs is left to those who run it.
    cp -P --preserve=mode "$work/new/$file" "$into/$file.part"
    mv -fT "$into/$file.part" "$into/$file"
  done <"$work/files"
  comm -13 "$work/files" "$work/old-files" | remove
  sort -u "$work"/{folders,files} >"$into/$list.part"
  mv "$into/$list.part" "$into/$list"
  trap 'rm -rf "$work"' EXIT
  tell
}

broke_off() {
  rm -rf "$work" "$into/$file.part"
  echo "NOT ALL of it is in place below $into: once the cause is gone, do it again, or make uninstall" >&2
}

tell() {
  local found
  echo "installed below $into: ${#TOOL_NAMES[@]} programs, $(grep -c '^share/man/' "$work/files") man pages, completions for bash," \
    "zsh and fish, $(grep -c '/scripts/' "$work/files") scripts, ecommerce.toml"
  [ -z "${DESTDIR:-}" ] || return 0
  found=$(command -v chaos-health || true)
  [ "$found" -ef "$into/bin/chaos-health" ] ||
    echo "note: chaos-health in PATH is ${found:-not there}; put $into/bin before it"
  echo "next: chaos-health init -n NAMESPACE"
}

take_away() {
  local folders
  [ -e "$into/$list" ] || die "nothing was installed below $into: there is no $into/$list"
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  earlier files >"$work/files"
  earlier folders >"$work/folders"
  mapfile -t folders < <(sed 's|/[^/]*$||' "$work/files" | sort -u)
  may_write "${folders[@]}"
  # The list goes last, for the same reason that it comes first.
  { grep -vxF "$list" "$work/files" || true; } | remove
  rm -f "$into/$list"
  remove <"$work/folders"
  echo "taken away: what was installed below $into"
}

case ${1:-install} in
  install) put_in_place ;;
  uninstall) take_away ;;
  *) die "usage: install.sh [install | uninstall]" ;;
esac
