#!/usr/bin/env bash
# Trains with several workers on this machine, and starts all of them again when one is lost.
#
#     examples/cluster/local.sh 2 --config=digits --run_dir=runs/two
#
# The first argument is the number of workers, the others are those of examples.train. A worker that was killed, or that
# ended since another one was lost (75), is started again with all others, at most MOST_RESTARTS times (default 100).
# One that hangs is killed PATIENCE seconds (default 60) after another one has ended.
set -u
count=${1:?the number of workers}
shift
patience=${PATIENCE:-60} # seconds that a worker may take to end after another one has
stopped=0
workers=()

# Prints as many free ports of this machine.
free_ports() {
  python - "$1" << 'PYTHON'
import socket, sys

sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(s.getsockname()[1] for s in sockets), sep="\n")
PYTHON
}

# One signal to each worker, after which they save. Those in the background don't take the terminal's.
trap 'stopped=1; ((${#workers[@]})) && kill -TERM "${workers[@]}" 2> /dev/null' INT TERM

for ((start = 0; start <= ${MOST_RESTARTS:-100} && !stopped; start++)); do
  mapfile -t ports < <(free_ports "$count")
  addresses=$(printf '"127.0.0.1:%s",' "${ports[@]}")
  workers=()
  for ((i = 0; i < count; i++)); do
    task="{\"type\": \"worker\", \"index\": $i}"
    TF_CONFIG="{\"cluster\": {\"worker\": [${addresses%,}]}, \"task\": $task}" \
      python -m examples.train --strategy=multi_worker "$@" &
    workers+=($!)
  done
  again=0
  code=0
  left=("${workers[@]}")
  deadline=
  while ((${#left[@]})); do
    sleep 0.2
    alive=()
    for worker in "${left[@]}"; do
      if kill -0 "$worker" 2> /dev/null; then
        alive+=("$worker")
        [ -n "$deadline" ] && ((SECONDS > deadline)) && kill -KILL "$worker" # It hangs.
        continue
      fi
      wait "$worker"
      ended=$?
      case $ended in
        0) continue ;;
        75 | 137) again=1 ;; # It lost another worker, or was killed.
        *) code=$ended ;;
      esac
      deadline=${deadline:-$((SECONDS + patience))}
    done
    left=("${alive[@]}")
  done
  if ((code || stopped || !again)); then
    exit "$code"
  fi
  echo "a worker was lost: all start again" >&2
done
exit 75
