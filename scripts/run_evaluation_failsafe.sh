#!/usr/bin/env bash
# Evaluate, and start again after a crash, a bounded number of times.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/failsafe.sh"

usage() {
  cat << 'END'
usage: run_evaluation_failsafe.sh [--exp NAME] [--trainable_cameras] [--scan_id N] [--eval_rendering] [--max_tries N]
                                  [-- ARGUMENT...]
  --exp NAME            folder of confs/embedder_conf_var (default: PosEnc), or a conf file
  --trainable_cameras   its dtu_trained_cameras.conf; else dtu_fixed_cameras.conf
  --scan_id N           the scan (default: the conf's)
  --eval_rendering      render every view and measure the renders
  --max_tries N         default: 3
  ARGUMENT...           anything else for eval.py
Errors that you must put right (exit code 2) and Ctrl-C (130) stop it at once.
environment: FAILSAFE_COMMAND instead of "python evaluation/eval.py"; FAILSAFE_WAIT seconds before the second try.
END
}

exp=PosEnc cameras=fixed max_tries=3 flags=()
while (($#)); do
  case $1 in
    --exp) need_value "$1" $#; exp=$2; shift 2 ;;
    --trainable_cameras) cameras=trained; shift ;;
    --scan_id) need_value "$1" $#; flags+=(--scan_id "$2"); shift 2 ;;
    --eval_rendering) flags+=(--eval_rendering); shift ;;
    --max_tries) need_value "$1" $#; need_count "$1" "$2"; max_tries=$2; shift 2 ;;
    --help | -h) usage; exit 0 ;;
    --) shift; flags+=("$@"); break ;;
    *) echo "failsafe: unknown argument $1 (--help lists them)" >&2; exit "$EXIT_USER_ERROR" ;;
  esac
done

read -r -a command <<< "${FAILSAFE_COMMAND:-python evaluation/eval.py}"
conf=$(conf_of "$exp" "$cameras")
cd "$here/../code"
run_failsafe "$max_tries" "${command[@]}" --conf "$conf" ${flags[@]+"${flags[@]}"}
