#!/usr/bin/env bash
# Everything that only a machine with a GPU can show: builds the operators, runs the GPU tests and the benchmarks, and
# writes one table to benchmarks/results/<date>_<gpu>.md.  Works offline, in under 8 minutes: what does not fit into
# them is cut short, and the table says so.
#
#   scripts/gpu_check.sh [--dry-run]
#   WHEELS=folder   wheels of Python packages that the machine lacks
#   SCENE=folder    a real scan; one minute of it is trained, and evaluated
#   PYTHON=python3  an interpreter whose torch has CUDA
#   SECONDS_ALL=470 the time for everything
#
# --dry-run does the same on the CPU with small numbers: its table is printed and not kept.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2

PYTHON="${PYTHON:-python3}"
SECONDS_ALL="${SECONDS_ALL:-470}"
export OMP_WAIT_POLICY=PASSIVE
unset NSR_BACKEND

device=cuda
case "${1:-}" in
  "") ;;
  --dry-run) device=cpu ;;
  *)
    echo "gpu_check: unknown argument $1; there is --dry-run" >&2
    exit 2
    ;;
esac
if [[ -n "${SCENE:-}" && ! -d "$SCENE" ]]; then
  echo "gpu_check: SCENE=$SCENE is no folder" >&2
  exit 2
fi
if [[ "$device" == cuda ]]; then
  points=65536 bank_points=65536 samples=262144 rays="1024 16384" trace_steps=200 seconds=0.4 minutes=1
  sees='torch.cuda.is_available()'
else
  points=4096 bank_points=512 samples=4096 rays=128 trace_steps=10 seconds=0.02 minutes=1
  sees=True
fi
if ! "$PYTHON" -c "import sys, torch; sys.exit(not $sees)" 2>/dev/null; then
  echo "gpu_check: $PYTHON has no torch that sees a GPU; name another with PYTHON=, or try --dry-run" >&2
  exit 2
fi

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
"$PYTHON" -m venv --system-site-packages "$work/venv" || exit 2
python="$work/venv/bin/python"
# A torch of the interpreter's own environment stays visible where that is a virtual environment itself.
"$PYTHON" -c 'import site; print("\n".join(site.getsitepackages()))' \
  >"$("$python" -c 'import site; print(site.getsitepackages()[0])')/outer.pth"

# Names of pyproject.toml's dependencies, extras included.
packages() {
  "$python" - <<'PYTHON'
import re
try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    from pip._vendor import tomli as tomllib
with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
for requirement in [*project["dependencies"], *sum(project["optional-dependencies"].values(), [])]:
    print(re.match(r"[\w.-]+", requirement).group())
PYTHON
}
# Only what is missing is taken from the folder: what is there, torch above all, stays as it is.
for package in $(packages); do
  "$python" -c "import importlib.metadata as m; m.version('$package')" 2>/dev/null && continue
  if [[ -z "${WHEELS:-}" ]]; then
    echo "gpu_check: $package is missing, and WHEELS names no folder of wheels; going on without" >&2
  elif ! "$python" -m pip install --quiet --no-index --find-links "$WHEELS" "$package"; then
    echo "gpu_check: $package is not in $WHEELS; going on without" >&2
  fi
done
export PYTHONPATH="$PWD/code" XDG_CACHE_HOME="$work/cache"

touch "$work/steps" "$work/tables" "$work/failures"
failed=0

# step TITLE SECONDS COMMAND...: its outcome goes into the table; of a step that fails, the end of its output too.
step() {
  local title="$1" limit="$2" start=$SECONDS log="$work/log" left=$((SECONDS_ALL - SECONDS)) outcome code last
  shift 2
  if ((left < 5)); then
    echo "| $title | not run: the time is over | | |" | tee -a "$work/steps"
    failed=1
    return 1
  fi
  timeout --kill-after=5 "$((limit < left ? limit : left))" "$@" >"$log" 2>&1
  code=$?
  tr '\r' '\n' <"$log" >"$log.lines" && mv "$log.lines" "$log"  # of progress bars
  outcome=passed
  if ((code != 0)); then
    outcome="FAILED ($([[ $code == 124 ]] && echo "cut off" || echo "code $code"))"
    failed=1
    { printf '\n## %s\n\n```\n' "$title" && tail -n 40 "$log" && printf '```\n'; } | tee -a "$work/failures" >&2
  fi
  last="$(grep -v '^$' "$log" | tail -n 1 | tr -d '|' | cut -c1-120)"
  echo "| $title | $outcome | $((SECONDS - start)) | $last |" | tee -a "$work/steps"
  return "$code"
}

# benchmark TITLE SECONDS SCRIPT ARGUMENTS...
benchmark() {
  local title="$1" limit="$2" script="$3"
  shift 3
  step "$title" "$limit" "$python" "benchmarks/$script" --device "$device" --seconds "$seconds" \
    --output "$work/tables" "$@"
}

step "operators built and loaded" 120 env NSR_BACKEND=native "$python" -c "
import torch
from nsr.ops import backend
for operator in backend.OPERATORS:
    assert backend.runs_native(operator, torch.device('$device')), operator
print(backend.resolve().steps[-1].rpartition('/')[2])"
step "GPU tests" 110 "$python" -m pytest -q -m gpu tests
# shellcheck disable=SC2086  # rays are several words
benchmark "training step" 80 training_step.py --samples "$samples" --rays $rays
benchmark "search for the surface" 60 sphere_trace.py data/sample --steps "$trace_steps" --points "$points"
benchmark "hash encoding" 60 hash_encode.py --points "$points"
benchmark "filter bank" 60 filter_bank.py --points "$bank_points"
benchmark "patches of pictures" 30 image_patches.py
if [[ -n "${SCENE:-}" ]]; then
  name="$(basename "$SCENE")"
  gpu_option="$([[ "$device" == cuda ]] && echo auto || echo ignore)"
  if step "train $name, $minutes min" 100 "$python" -m nsr.cli.main train "$SCENE" --gpu "$gpu_option" \
    --minutes "$minutes" --exps_folder "$work/exps"; then
    step "evaluate $name" 120 "$python" -m nsr.cli.main eval "$work/exps"
    find "$work/exps" -name metrics.json | while read -r metrics; do
      printf '\n## %s\n\n```\n%s\n```\n' "$name" "$(cat "$metrics")" >>"$work/tables"
    done
  fi
fi

{
  echo "# GPU check"
  echo
  "$python" - <<'PYTHON'
import datetime, platform, torch
name = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU (dry run)"
print(f"{datetime.date.today()}, {name}, CUDA {torch.version.cuda}, torch {torch.__version__},", end=" ")
print(f"Python {platform.python_version()}", end=", commit ")
PYTHON
  git rev-parse --short HEAD 2>/dev/null || echo unknown
  printf '\n%s s in all.\n' "$SECONDS"
  printf '\n| step | outcome | seconds | last line |\n|---|---|---|---|\n'
  cat "$work/steps"
  if [[ -z "${SCENE:-}" ]]; then echo "| a real scan | not measured: SCENE is not set | | |"; fi
  cat "$work/tables" "$work/failures"
} >"$work/result.md"
if [[ "$device" == cpu ]]; then
  cat "$work/result.md"
else
  gpu="$("$python" -c 'import torch; print(torch.cuda.get_device_name().replace(" ", "-"))')"
  result="benchmarks/results/$(date +%F)_$gpu.md"
  mkdir -p benchmarks/results
  cp "$work/result.md" "$result.partial" && mv "$result.partial" "$result"
  echo "written: $result"
fi
exit "$failed"
