#!/usr/bin/env bash
# Trains with several workers on this machine, and starts all of them again when one is lost.
#
#     examples/cluster/local.sh 2 --config=digits --run_dir=runs/two
#
# The first argument is the number of workers, the others are those of examples.train. A worker that was killed, or that
# ended since another one was lost (75), is started again with all others, at most MOST_RESTARTS times (default 100).
set -u
count=${1:?the number of workers}
shift
stopped=0

# Prints as many free ports of this machine.
free_ports() {
  python - "$1" << 'PYTHON'
import socket, sys

sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(s.getsockname()[1] for s in sockets), sep="\n")
PYTHON
}

trap 'stopped=1; kill -TERM "${workers[@]}" 2> /dev/null' INT TERM

for ((start = 0; start <= ${MOST_RESTARTS:-100}; start++)); do
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
  for worker in "${workers[@]}"; do
    while wait "$worker"; ended=$?; kill -0 "$worker" 2> /dev/null; do :; done # A signal ends `wait`, too.
    case $ended in
      0) ;;
      75 | 137) again=1 ;; # It lost another worker, or was killed.
      *) code=$ended ;;
    esac
  done
  if ((code || stopped || !again)); then
    exit "$code"
  fi
  echo "a worker was lost: all start again" >&2
done
exit 75
