#!/usr/bin/env bash
# From nothing to exported SoLa features, on generated data and CPU. Needs Python and git.
set -euo pipefail
unset CDPATH PYTHONHOME PYTHONPATH
python=$(bash "$(dirname -- "${BASH_SOURCE[0]}")/setup_env.sh")
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

run() { printf '[mmsola] python %s\n' "$*"; "$python" "$@"; }

work_dir=work_dirs/quickstart
run tools/make_demo_data.py data/demo
run tools/train.py configs/sola_pretrain_demo.py --work-dir "$work_dir" \
    --cfg-options randomness.seed=0
checkpoint=$(cat -- "$work_dir/last_checkpoint")
run tools/export_features.py configs/sola_pretrain_demo.py "$checkpoint" "$work_dir/features"

printf '[mmsola] %s\n' 'done' \
    "logs and curves    $work_dir" \
    "trained SoLa       $checkpoint" \
    "its features       $work_dir/features"
