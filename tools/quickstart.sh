#!/usr/bin/env bash
# From nothing to exported SoLa features, on generated data and CPU. Needs Python and git.
set -euo pipefail
unset CDPATH PYTHONHOME PYTHONPATH
python=$(bash "$(dirname -- "${BASH_SOURCE[0]}")/setup_env.sh")
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

run() { printf '[mmsola] python %s\n' "$*"; "$python" "$@"; }

config=configs/sola_pretrain_demo.py
work_dir=${MMSOLA_WORK_DIR:-work_dirs/quickstart}
run tools/make_demo_data.py data/demo
# --resume: a second quick start goes on from the first, or is done at once
run tools/train.py "$config" --work-dir "$work_dir/seed_0" --seed 0 --resume
best=$(ls -t -- "$work_dir"/seed_0/best_*.pth | head -n 1)
run tools/export_features.py "$config" "$best" "$work_dir/features" --overwrite
run tools/plot_tsm.py data/demo/features/demo_0100.npy "$best" --out "$work_dir/tsm.png" \
    --ann-file data/demo/annotations.json --stride-frames 8 --window-frames 16
run tools/train_seeds.py "$config" --work-dir "$work_dir" --seeds 0

printf '[mmsola] %s\n' \
    "done; in $PWD:" \
    "  logs and curves          $work_dir/seed_0 (tensorboard --logdir $work_dir)" \
    "  pictures, before, after  $work_dir/tsm.png, $work_dir/seed_0/tsm" \
    "  trained SoLa             $best" \
    "  its features             $work_dir/features" \
    "  several seeds            python tools/train_seeds.py $config --work-dir $work_dir"
