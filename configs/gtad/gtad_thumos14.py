# G-TAD on THUMOS14, I3D features: windows of 256 snippets (34 seconds), proposals of up to 64. The
# authors read a TSN feature at every fifth frame. Scores fall in a window and where windows are
# merged, as there. Without class scores it measures class-agnostic AP; with
# test_evaluator.class_scores THUMOS14's mAP.
# mAP at tIoU 0.3 to 0.7 and their mean: OpenTAD 63.35 59.07 51.76 42.65 31.66, 49.70; measured: -
_base_ = ['../_base_/gtad.py', '../_base_/datasets/thumos14_i3d.py']

work_dir = 'work_dirs/gtad_thumos14'
model = dict(feat_dim=2048)

windows = dict(type='SlidingWindowDataset', window=256, overlap=0.5, margin=2)
train_dataloader = dict(
    batch_size=8,
    # nine tenths of a segment must be seen for it to count
    dataset=dict(_base_.training, **windows, with_action_only=True, min_covered=0.9),
)
val_dataloader = dict(batch_size=8, dataset=dict(_base_.validation, **windows))
test_dataloader = val_dataloader
val_evaluator = dict(
    **_base_.official,
    merge=dict(alpha=0.46, tiou=0.0),
    # THUMOS14's grid of average recall ends at 1
    tiou_thresholds=[0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0],
    average_numbers=(50, 100, 200),
    max_proposals=200,
    map_tiou_thresholds=[0.3, 0.4, 0.5, 0.6, 0.7],
)
test_evaluator = dict(val_evaluator, out_file=f'{work_dir}/proposals.json')
