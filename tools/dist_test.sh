#!/usr/bin/env bash
# Measure a checkpoint with several processes on this machine (or on each of NNODES machines).
# usage: tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [arguments of tools/test.py]
set -euo pipefail
[ $# -ge 3 ] || { sed -n '2,3p' "$0" | cut -c3-; exit 2; }
CONFIG=$1 CHECKPOINT=$2 PROCESSES=$3
shift 3

PYTHONPATH="$(dirname "$0")/..${PYTHONPATH:+:$PYTHONPATH}" exec python -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
    --nproc_per_node="$PROCESSES" \
    "$(dirname "$0")/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "$@"
