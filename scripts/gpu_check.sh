#!/usr/bin/env bash
# Everything that only a machine with a GPU can show: builds the operators, runs the GPU tests and the benchmarks, and
# writes one table to benchmarks/results/<date>_<gpu>.md.  Works offline, in under 8 minutes.
#
#   scripts/gpu_check.sh
#   WHEELS=folder   wheels of Python packages that the machine lacks
#   SCENE=folder    a real scan; one minute of it is trained, and evaluated
#   PYTHON=python3  an interpreter whose torch has CUDA
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2

PYTHON="${PYTHON:-python3}"
export OMP_WAIT_POLICY=PASSIVE
unset NSR_BACKEND

if ! "$PYTHON" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
  echo "gpu_check: $PYTHON has no torch that sees a GPU; name another with PYTHON=" >&2
  exit 2
fi

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
"$PYTHON" -m venv --system-site-packages "$work/venv" || exit 2
python="$work/venv/bin/python"
# A torch of the interpreter's own environment stays visible where that is a virtual environment itself.
"$PYTHON" -c 'import site; print("\n".join(site.getsitepackages()))' \
  >"$("$python" -c 'import site; print(site.getsitepackages()[0])')/outer.pth"
if [[ -n "${WHEELS:-}" ]]; then
  # Only what is missing is taken from the folder: what is there, torch above all, stays as it is.
  for package in trimesh pyhocon plotly tqdm imageio scikit-image opencv-python-headless tensorboard pytest embreex rtree; do
    "$python" -c "import importlib.metadata as m; m.version('$package')" 2>/dev/null ||
      "$python" -m pip install --quiet --no-index --find-links "$WHEELS" "$package" ||
      echo "gpu_check: $package is not in $WHEELS; going on without" >&2
  done
fi
export PYTHONPATH="$PWD/code" XDG_CACHE_HOME="$work/cache"

gpu="$("$python" -c 'import torch; print(torch.cuda.get_device_name().replace(" ", "-"))')"
mkdir -p benchmarks/results
result="benchmarks/results/$(date +%F)_$gpu.md"
failed=0

# step TITLE SECONDS COMMAND...: its outcome goes into the table, its output into a log that is shown when it fails.
step() {
  local title="$1" limit="$2" start=$SECONDS log="$work/log" outcome
  shift 2
  if timeout "$limit" "$@" >"$log" 2>&1; then
    outcome="passed"
  else
    outcome="FAILED (code $?)"
    failed=1
    tail -n 40 "$log" >&2
  fi
  echo "| $title | $outcome | $((SECONDS - start)) | $(tail -n 1 "$log" | tr -d '|' | cut -c1-120) |" | tee -a "$work/steps"
}

step "operators built and loaded" 90 env NSR_BACKEND=native "$python" -c \
  'import torch; from nsr.ops import backend; assert backend.runs_native("hash_encode", torch.device("cuda")); print(backend.resolve().steps[-1])'
step "GPU tests" 100 "$python" -m pytest -q -m gpu tests
step "hash encoding, benchmark" 90 "$python" benchmarks/hash_encode.py --device cuda --points 262144 --seconds 1 \
  --output "$work/tables"
if [[ -n "${SCENE:-}" ]]; then
  step "train $(basename "$SCENE"), one minute" 100 "$python" -m nsr.cli.main train "$SCENE" --gpu auto --minutes 1 \
    --exps_folder "$work/exps"
  step "evaluate $(basename "$SCENE")" 70 "$python" -m nsr.cli.main eval "$work/exps"
  find "$work/exps" -name metrics.json -exec sh -c 'printf "\n## Scan\n\n\`\`\`\n"; cat "$1"; printf "\n\`\`\`\n"' _ {} \; \
    >>"$work/tables" 2>/dev/null
fi

{
  echo "# GPU check"
  echo
  "$python" -c 'import datetime, torch; print(f"{datetime.date.today()}, {torch.cuda.get_device_name()}, torch {torch.__version__}, commit", end=" ")'
  git rev-parse --short HEAD 2>/dev/null || echo unknown
  printf '\n| step | outcome | seconds | last line |\n|---|---|---|---|\n'
  cat "$work/steps"
  if [[ -z "${SCENE:-}" ]]; then printf '| a real scan | not measured (SCENE is not set) | | |\n'; fi
  cat "$work/tables" 2>/dev/null || printf '\nThe benchmarks gave no figures.\n'
} >"$result.partial"
mv "$result.partial" "$result"
echo "written: $result"
exit "$failed"
