#!/usr/bin/env bash
# Train, and start again after a crash from the newest checkpoint, a bounded number of times.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/failsafe.sh"

usage() {
  cat << 'END'
usage: run_training_failsafe.sh [--exp NAME] [--trainable_cameras] [--scan_id N] [--is_continue] [--max_tries N]
                                [-- ARGUMENT...]
  --exp NAME            folder of confs/embedder_conf_var (default: PosEnc), or a conf file
  --trainable_cameras   its dtu_trained_cameras.conf, with --train_cameras; else dtu_fixed_cameras.conf
  --scan_id N           the scan (default: the conf's)
  --is_continue         the first try, too, goes on from the newest checkpoint
  --max_tries N         default: 5
  ARGUMENT...           anything else for exp_runner.py
Errors that you must put right (exit code 2) and Ctrl-C (130) stop it at once.
environment: FAILSAFE_COMMAND instead of "python training/exp_runner.py"; FAILSAFE_WAIT seconds before the second try.
END
}

exp=PosEnc cameras=fixed max_tries=5 flags=() continue_now=false
while (($#)); do
  case $1 in
    --exp) need_value "$1" $#; exp=$2; shift 2 ;;
    --trainable_cameras) cameras=trained; flags+=(--train_cameras); shift ;;
    --scan_id) need_value "$1" $#; flags+=(--scan_id "$2"); shift 2 ;;
    --is_continue) continue_now=true; shift ;;
    --max_tries) need_value "$1" $#; need_count "$1" "$2"; max_tries=$2; shift 2 ;;
    --help | -h) usage; exit 0 ;;
    --) shift; flags+=("$@"); break ;;
    *) echo "failsafe: unknown argument $1 (--help lists them)" >&2; exit "$EXIT_USER_ERROR" ;;
  esac
done

# exp_runner.py itself starts anew, with a warning, where there is no checkpoint yet.
retry_arguments() { $continue_now || echo --is_continue; }
if $continue_now; then flags+=(--is_continue); fi

read -r -a command <<< "${FAILSAFE_COMMAND:-python training/exp_runner.py}"
conf=$(conf_of "$exp" "$cameras")
cd "$here/../code"
run_failsafe "$max_tries" "${command[@]}" --conf "$conf" ${flags[@]+"${flags[@]}"}
