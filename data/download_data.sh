#!/usr/bin/env bash
# DTU scans in IDR's layout: fetch the archive, check its sum, unpack it where the confs look, check every scan.
# Each step can be interrupted and run again; data/README.md describes the way by hand.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
target=${NSR_DATA:-$here}/DTU

# IDR's authors publish no checksum.  The first download's is written to this file, and later ones must equal it.
sums=${NSR_DATA:-$here}/checksums.sha256

usage() {
  cat <<'TEXT'
usage: data/download_data.sh ARCHIVE.zip          unpack and check an archive that you downloaded by hand
       data/download_data.sh --url URL [NAME.zip] fetch it first (goes on where an earlier try stopped)
       data/download_data.sh --sha256 SUM ...     with either: the archive must have this checksum

data/README.md says where the archive is.  Scans go to $NSR_DATA/DTU, or to data/DTU; those there already stay.
TEXT
}

fail() { echo "download_data.sh: $1" >&2; exit 2; }

url='' sum='' archive=''
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --url) (($# > 1)) || fail "--url needs an address"; url=$2; shift 2 ;;
    --sha256)
      (($# > 1)) || fail "--sha256 needs a sum"
      [[ $2 =~ ^[0-9a-fA-F]{64}$ ]] || fail "--sha256 $2: a sum has 64 hexadecimal digits"
      sum=${2,,}; shift 2 ;;
    -*) usage >&2; fail "unknown option $1" ;;
    *) [[ -z $archive ]] || fail "one archive at a time; $1 is a second"; archive=$1; shift ;;
  esac
done
if [[ -z $url && -z $archive ]]; then usage >&2; exit 2; fi

sha256() { python3 -c 'import hashlib, sys
digest = hashlib.sha256()
with open(sys.argv[1], "rb") as file:
    while block := file.read(1 << 20):
        digest.update(block)
print(digest.hexdigest())' "$1"; }

fetch() {
  command -v curl > /dev/null || fail "fetching needs curl; or download by hand and give the archive (data/README.md)"
  mkdir -p "$(dirname "$archive")"
  # What is there already is kept in .part, and only the rest is fetched.
  if ! curl --fail --location --retry 3 --continue-at - --output "$archive.part" "$url"; then
    fail "$url cannot be fetched; run again to go on, or download it by hand (data/README.md)"
  fi
  mv "$archive.part" "$archive"
}

if [[ -n $url ]]; then
  archive=${archive:-${NSR_DATA:-$here}/DTU.zip}
  if [[ -f $archive ]]; then echo "$archive: there already"; else fetch; fi
fi
[[ -f $archive ]] || fail "there is no file $archive; data/README.md says where to get it"

name=$(basename "$archive")
found=$(sha256 "$archive")
pinned=$(if [[ -f $sums ]]; then NAME=$name awk 'substr($0, 67) == ENVIRON["NAME"] { print $1; exit }' "$sums"; fi)
if [[ -n $sum && $found != "$sum" ]]; then
  fail "$archive has the checksum $found and not $sum; it is incomplete or another file: delete it and fetch it again"
elif [[ -z $sum && -n $pinned && $found != "$pinned" ]]; then
  fail "$archive has the checksum $found; at its first download it was $pinned ($sums): delete one of the two"
elif [[ -z $sum && -z $pinned ]]; then
  echo "$name: no checksum is known for it; $found is remembered in $sums"
fi

nsr=(python3 -m nsr.cli.main)
if [[ -x $here/../.venv/bin/python ]]; then nsr=("$here/../.venv/bin/python" -m nsr.cli.main); fi

mkdir -p "$(dirname "$target")"
partial=$(mktemp -d "$(dirname "$target")/.DTU.partial-XXXXXX")
trap 'rm -rf "$partial"' EXIT
if ! message=$(python3 -m zipfile -e "$archive" "$partial" 2>&1); then
  fail "$archive cannot be unpacked (${message##*$'\n'})"
fi
if [[ -z $pinned ]]; then echo "$found  $name" >> "$sums"; fi # only of an archive that opens

mkdir -p "$target"
count=0 bad=0
while IFS= read -r cameras; do
  scan=$(dirname "$cameras")
  name=$(basename "$scan")
  if [[ -e $target/$name ]]; then echo "$name: there already, left as it is"; continue; fi
  if "${nsr[@]}" scene check --fast "$scan" > "$partial/report" 2>&1; then
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
  fail "no scan (a folder with cameras.npz) in $archive"
fi
echo "$count scans are new in $target"
((bad == 0))
