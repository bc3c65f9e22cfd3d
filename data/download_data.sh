#!/usr/bin/env bash
# Put a downloaded archive of DTU scans (IDR's layout) where the confs look for it, and check every scan.
# The archive itself is downloaded by hand: data/README.md says where from, and why.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
target=$here/DTU

usage() { echo "usage: data/download_data.sh ARCHIVE.zip   (data/README.md says where to get it)"; }

if [[ ${1:-} == --help || ${1:-} == -h ]]; then usage; exit 0; fi
if (($# != 1)); then usage >&2; exit 2; fi
if [[ ! -f $1 ]]; then echo "download_data.sh: there is no file $1; data/README.md says where to get it" >&2; exit 2; fi

nsr=(python3 -m nsr.cli.main)
if [[ -x $here/../.venv/bin/python ]]; then nsr=("$here/../.venv/bin/python" -m nsr.cli.main); fi

partial=$(mktemp -d "$here/.DTU.partial-XXXXXX")
trap 'rm -rf "$partial"' EXIT
if ! message=$(python3 -m zipfile -e "$1" "$partial" 2>&1); then
  echo "download_data.sh: $1 cannot be unpacked (${message##*$'\n'})" >&2
  exit 2
fi

mkdir -p "$target"
count=0 bad=0
while IFS= read -r cameras; do
  scan=$(dirname "$cameras")
  name=$(basename "$scan")
  if [[ -e $target/$name ]]; then echo "$name: there already, left as it is"; continue; fi
  if "${nsr[@]}" scene check "$scan" > "$partial/report" 2>&1; then
    mv "$scan" "$target/$name"
    echo "$name: ok"
    count=$((count + 1))
  else
    echo "$name: left out: $(grep -m 1 '^error' "$partial/report" || tail -n 1 "$partial/report")" >&2
    bad=$((bad + 1))
  fi
done < <(find "$partial" -name cameras.npz | sort)

if ((count + bad == 0)) && [[ -z $(ls -A "$target") ]]; then
  rmdir "$target"
  echo "download_data.sh: no scan (a folder with cameras.npz) in $1" >&2
  exit 2
fi
echo "$count scans are new in $target"
((bad == 0))
