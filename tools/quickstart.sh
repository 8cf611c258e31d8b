#!/usr/bin/env bash
# The whole story on generated data and CPU: pretrain SoLa without labels, train BMN without and with
# it on the same seeds, then ActionFormer, which names what it finds; one table and one page of
# pictures. Needs Python and git.
set -euo pipefail
unset CDPATH PYTHONHOME PYTHONPATH
python=$(bash "$(dirname -- "${BASH_SOURCE[0]}")/setup_env.sh")
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

run() { printf '[mmsola] python %s\n' "$*"; "$python" "$@"; }
step=0
step() { printf '\n[mmsola] step %d of %d: %s (%s)\n' "$((step += 1))" "$steps" "$1" "$2"; }
cores=$(getconf _NPROCESSORS_ONLN)  # a training takes one

work_dir=${MMSOLA_WORK_DIR:-work_dirs/quickstart}
sola=$work_dir/sola
steps=7
# the times are those of two cores
printf '[mmsola] %s\n' "$steps steps, about 3 min in all; every step's log is below $work_dir"

step 'generate features' 'a few seconds'
run tools/make_demo_data.py data/demo
step 'pretrain SoLa without labels' 'about 20 s'
# --resume: a second quick start goes on from the first, or is done at once
run tools/train.py configs/sola/sola_pretrain_demo.py --work-dir "$sola" --seed 0 --resume
best=$(ls -t -- "$sola"/best_*.pth | head -n 1)
step 'draw self-similarity before and after SoLa' 'a few seconds'
run tools/plot_tsm.py data/demo/features/demo_0100.npy "$best" --out "$work_dir/tsm.png" \
    --ann-file data/demo/annotations.json --stride-frames 8 --window-frames 16
step 'train BMN without and with SoLa, three seeds each' 'about 1.5 min'
run tools/compare.py configs/bmn/bmn_demo.py configs/bmn/sola_bmn_demo.py --names BMN BMN+SoLa \
    --seeds 0 1 2 --work-dir "$work_dir/compare" --jobs "$((cores < 6 ? cores : 6))" \
    --options-for BMN "val_evaluator.out_file=$work_dir/BMN_{seed}.json" \
    --options-for BMN+SoLa "val_evaluator.out_file=$work_dir/SoLa_{seed}.json" \
    "model.neck.init_cfg.checkpoint=$best"
step 'draw what both found' 'a few seconds'
run tools/plot_timelines.py data/demo/annotations.json "BMN=$work_dir/BMN_0.json" \
    "BMN+SoLa=$work_dir/SoLa_0.json" --subset validation --out "$work_dir/timelines.png"
step 'train ActionFormer, which predicts classes, and run it on one video' 'about 1 min'
run tools/train.py configs/actionformer/sola_actionformer_demo.py --work-dir "$work_dir/actionformer" --seed 0 \
    --resume --cfg-options "model.neck.init_cfg.checkpoint=$best"
run tools/infer.py data/demo/features/demo_0100.npy --config configs/actionformer/sola_actionformer_demo.py \
    --checkpoint "$work_dir/actionformer/epoch_*.pth" --ann-file data/demo/annotations.json \
    --out "$work_dir/labelled"
step 'write SoLa features and the page' 'a few seconds'
run tools/export_features.py configs/sola/sola_pretrain_demo.py "$best" "$work_dir/features" --overwrite
run tools/write_results_page.py "$work_dir/results.html" --title 'SoLa and BMN on generated data' \
    --text 'Generated features with the task discrepancy: class and scene dominate, and action is
faint. It shows the steps and says nothing about real data.' --tables "$work_dir/compare/table.md" \
    --picture "$work_dir/compare/compare.png" 'Differences of each seed, their mean and interval' \
    --picture "$work_dir/tsm.png" 'Self-similarity of a validation video before and after SoLa' \
    --picture "$work_dir/timelines.png" 'Annotated segments against the ten best proposals' \
    --picture "$work_dir/labelled/demo_0100.png" 'Segments with classes, by ActionFormer with SoLa'

printf '[mmsola] %s\n' \
    "done; in $PWD:" \
    "  table and pictures       $work_dir/results.html" \
    "  trained SoLa             $best" \
    "  its features             $work_dir/features" \
    "  proposals                $work_dir/BMN_0.json, $work_dir/SoLa_0.json" \
    "  segments with classes    $work_dir/labelled" \
    "  logs and curves          tensorboard --logdir $work_dir"
