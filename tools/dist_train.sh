#!/usr/bin/env bash
# Train with several processes on this machine (or on each of NNODES machines), GPUs or not.
# usage: tools/dist_train.sh CONFIG PROCESSES [arguments of tools/train.py]
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,3p' "$0" | cut -c3-; exit 2; }
CONFIG=$1 PROCESSES=$2
shift 2

PYTHONPATH="$(dirname "$0")/..${PYTHONPATH:+:$PYTHONPATH}" exec python -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
    --nproc_per_node="$PROCESSES" \
    "$(dirname "$0")/train.py" "$CONFIG" --launcher pytorch "$@"
