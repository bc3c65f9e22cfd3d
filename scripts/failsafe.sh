# Sourced by the failsafe launchers: run a command until it succeeds, a bounded number of times.

EXIT_USER_ERROR=2     # a person must put something right: trying again cannot help
EXIT_INTERRUPTED=130  # Ctrl-C

# run_failsafe MAX_TRIES COMMAND [ARGUMENT...]
# Before every try but the first it waits (FAILSAFE_WAIT seconds, doubled each time) and asks the function
# "retry_arguments", where there is one, for arguments to add.
run_failsafe() {
  local max_tries=$1 wait=${FAILSAFE_WAIT:-5} try status
  shift
  if [[ ! $wait =~ ^[0-9]+$ ]]; then
    echo "failsafe: FAILSAFE_WAIT is $wait: give whole seconds" >&2
    return "$EXIT_USER_ERROR"
  fi
  for ((try = 1; ; try++)); do
    local extra=()
    if ((try > 1)) && declare -F retry_arguments > /dev/null; then
      read -r -a extra <<< "$(retry_arguments)"
    fi
    status=0
    "$@" ${extra[@]+"${extra[@]}"} || status=$?
    case $status in
      0) return 0 ;;
      "$EXIT_USER_ERROR" | "$EXIT_INTERRUPTED") return "$status" ;;
    esac
    if ((try >= max_tries)); then
      echo "failsafe: gave up after $try tries, the last with exit code $status" >&2
      return "$status"
    fi
    echo "failsafe: exit code $status in try $try of $max_tries; again in $wait s" >&2
    sleep "$wait"
    wait=$((wait * 2))
  done
}

# need_value FLAG COUNT: the flag is followed by a value
need_value() {
  if (($2 < 2)); then
    echo "failsafe: $1 needs a value" >&2
    exit "$EXIT_USER_ERROR"
  fi
}

# need_count FLAG VALUE: the value is a whole number above zero
need_count() {
  if [[ ! $2 =~ ^[1-9][0-9]*$ ]]; then
    echo "failsafe: $1 $2: give a whole number above zero" >&2
    exit "$EXIT_USER_ERROR"
  fi
}

# conf_of EXPERIMENT CAMERAS: a conf file given by its path, absolute; or an encoding's conf, as seen from code/
conf_of() {
  if [[ $1 != *.conf ]]; then
    echo "../confs/embedder_conf_var/$1/dtu_$2_cameras.conf"
  elif [[ -f $1 ]]; then
    echo "$(cd "$(dirname "$1")" && pwd)/$(basename "$1")"
  else
    echo "$1"
  fi
}
