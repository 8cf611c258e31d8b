#!/usr/bin/env bash
# The paper's story from pixels on, on generated videos and a CPU: train a recognizer on trimmed clips,
# freeze it, extract features, BMN on them; SoLa without labels, BMN again; and the costly way, the
# encoder fine-tuned on the segments. Everything once a seed; one table, one page. Needs Python and git.
#
#   SEEDS   seeds to train, the recognizer too     (default: 0 1 2)
#   EPOCHS  epochs of everything, to see it run    (default: the configs')
#   WORLD   options of tools/make_video_world.py   (default: none)
set -euo pipefail
unset CDPATH PYTHONHOME PYTHONPATH
python=$(bash "$(dirname -- "${BASH_SOURCE[0]}")/setup_env.sh")
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

run() { printf '[mmsola] python %s\n' "$*"; "$python" "$@"; }
step=0
step() { printf '\n[mmsola] step %d of %d: %s (%s)\n' "$((step += 1))" "$steps" "$1" "$2"; }
cores=$(getconf _NPROCESSORS_ONLN)  # a training takes one
jobs=$((cores < 4 ? cores : 4))    # the encoder's fine-tuning fills the memory

read -ra seeds <<<"${SEEDS:-0 1 2}"
work_dir=${MMSOLA_WORK_DIR:-work_dirs/video_story}
world=data/video_world
short=()
[[ -z ${EPOCHS:-} ]] || short=(--cfg-options "train_cfg.max_epochs=$EPOCHS" "train_cfg.val_interval=$EPOCHS")

steps=$((4 + 2 * ${#seeds[@]}))
printf '[mmsola] %s\n' "$steps steps, about 25 min for three seeds on two cores; every log is below $work_dir"

step 'generate videos' 'about half a minute'
# shellcheck disable=SC2086 # several options
run tools/make_video_world.py "$world" ${WORLD:-}
for seed in "${seeds[@]}"; do
    step "train the recognizer, seed $seed" 'about 1 min'
    # --resume: a second call goes on from the first, or is done at once
    run tools/train.py configs/recognition/recognition_video_world.py --work-dir "$work_dir/recognizer/seed_$seed" \
        --seed "$seed" --resume "${short[@]}"
    step "extract features with it, seed $seed" 'about half a minute'
    run tools/extract_features.py configs/recognition/recognition_video_world.py \
        "$(<"$work_dir/recognizer/seed_$seed/last_checkpoint")" "$world/videos" \
        "$world/features_seed_$seed" --stride 8
done

# features, SoLa and localizers of one seed belong together
export VIDEO_WORLD_FEATURES='features_seed_{seed}'
step 'pretrain SoLa without labels' 'about 4 min'
run tools/train_seeds.py configs/sola/sola_pretrain_video_world.py --seeds "${seeds[@]}" \
    --work-dir "$work_dir/sola" --jobs "$jobs" "${short[@]}"
step "train BMN in five ways, ${#seeds[@]} seeds each" 'about 15 min'
run tools/compare.py configs/bmn/{bmn,sola_bmn,scratch_bmn,smooth_bmn,finetune_bmn}_video_world.py \
    --names frozen SoLa scratch smooth fine-tuned --seeds "${seeds[@]}" \
    --work-dir "$work_dir/compare" --jobs "$jobs" "${short[@]}" \
    --options-for frozen "val_evaluator.out_file=$work_dir/frozen_{seed}.json" \
    --options-for SoLa "val_evaluator.out_file=$work_dir/SoLa_{seed}.json" \
    "model.neck.init_cfg.checkpoint=$work_dir/sola/seed_{seed}/best_*.pth" \
    --options-for fine-tuned "val_evaluator.out_file=$work_dir/fine-tuned_{seed}.json" \
    "model.encoder_checkpoint=$work_dir/recognizer/seed_{seed}/epoch_*.pth"

step 'draw pictures and the page' 'a few seconds'
first=${seeds[0]}
best=$(ls -t -- "$work_dir/sola/seed_$first"/best_*.pth | head -n 1)
run tools/plot_tsm.py "$world/features_seed_$first/validation_0003.npy" "$best" \
    --out "$work_dir/tsm.png" --ann-file "$world/annotations.json" --stride-frames 8 --window-frames 16
run tools/plot_timelines.py "$world/annotations.json" "frozen=$work_dir/frozen_$first.json" \
    "SoLa=$work_dir/SoLa_$first.json" "fine-tuned=$work_dir/fine-tuned_$first.json" \
    --subset validation --out "$work_dir/timelines.png"
cat -- "$work_dir/sola/table.md" "$work_dir/compare/table.md" >"$work_dir/tables.md"
run tools/write_results_page.py "$work_dir/results.html" --title 'From pixels to segments, on generated videos' \
    --text 'A recognizer of trimmed clips, frozen: BMN on its features, BMN with SoLa before it (frozen,
learned without labels), two controls, and the encoder fine-tuned on the segments. Each seed has its own recognizer.' \
    --tables "$work_dir/tables.md" \
    --picture "$work_dir/compare/compare.png" 'Differences of each seed to BMN on frozen features' \
    --picture "$work_dir/tsm.png" 'Self-similarity of a validation video before and after SoLa' \
    --picture "$work_dir/timelines.png" 'Annotated segments against the ten best proposals'

printf '[mmsola] %s\n' "done; in $PWD:" "  page    $work_dir/results.html" "  tables  $work_dir/tables.md"
