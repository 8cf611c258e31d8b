#!/usr/bin/env bash
# Train on a Slurm cluster; GPUS=0 asks for PROCESSES on CPUs instead.
# usage: GPUS=8 tools/slurm_train.sh PARTITION JOB_NAME CONFIG [arguments of tools/train.py]
set -euo pipefail
[ $# -ge 3 ] || { sed -n '2,3p' "$0" | cut -c3-; exit 2; }
PARTITION=$1 JOB_NAME=$2 CONFIG=$3
shift 3

GPUS=${GPUS:-8}
if [ "$GPUS" -gt 0 ]; then
    TASKS=$GPUS
    TASKS_PER_NODE=${GPUS_PER_NODE:-$((GPUS < 8 ? GPUS : 8))}
    GRES=(--gres="gpu:$TASKS_PER_NODE")
else
    TASKS=${PROCESSES:-1}
    TASKS_PER_NODE=$TASKS
    GRES=()
fi

# MMEngine meets on MASTER_PORT; a random one lets several jobs share a node
export MASTER_PORT=${MASTER_PORT:-$((12000 + RANDOM % 20000))}
# SRUN_ARGS holds further options, so it is left to split into words
# shellcheck disable=SC2086
PYTHONPATH="$(dirname "$0")/..${PYTHONPATH:+:$PYTHONPATH}" exec srun -p "$PARTITION" \
    --job-name="$JOB_NAME" ${GRES[@]+"${GRES[@]}"} \
    --ntasks="$TASKS" --ntasks-per-node="$TASKS_PER_NODE" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    python -u "$(dirname "$0")/train.py" "$CONFIG" --launcher slurm "$@"
