# BMN on THUMOS14, I3D features: windows of 256 snippets (34 seconds), two snippets a cell. Without
# class scores it measures class-agnostic AP; with test_evaluator.class_scores THUMOS14's mAP, as
# OpenTAD counts it.
_base_ = ['../_base_/bmn.py', '../_base_/datasets/thumos14_i3d.py']

work_dir = 'work_dirs/bmn_thumos14'
model = dict(feat_dim=2048, temporal_dim=128, post_process_top_k=200)

windows = dict(type='SlidingWindowDataset', window=256, overlap=0.5, margin=2)
train_dataloader = dict(dataset=dict(_base_.training, **windows, with_action_only=True))
val_dataloader = dict(dataset=dict(_base_.validation, **windows))
test_dataloader = val_dataloader
val_evaluator = dict(
    **_base_.official,
    # THUMOS14's grid of average recall ends at 1
    tiou_thresholds=[0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0],
    average_numbers=(50, 100, 200, 500, 1000),
    max_proposals=1000,
    map_tiou_thresholds=[0.3, 0.4, 0.5, 0.6, 0.7],
)
test_evaluator = dict(val_evaluator, out_file=f'{work_dir}/proposals.json')
