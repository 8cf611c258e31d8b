# ActionFormer on THUMOS14, I3D features, as published: 2,304 snippets of four frames, 35 epochs.
# mAP at tIoU 0.3 to 0.7 and their mean: published 82.13 77.80 70.95 59.40 43.87, 66.83; measured: -
_base_ = ['../_base_/one_stage.py', '../_base_/datasets/thumos14_i3d.py']

model = dict(type='ActionFormer', feat_dim=2048, num_classes=20)
train_dataloader = dict(dataset=dict(**_base_.training, ignored_classes=['Ambiguous']))
val_dataloader = dict(dataset=dict(**_base_.validation, ignored_classes=['Ambiguous']))
test_dataloader = val_dataloader
val_evaluator = dict(
    **_base_.official,
    # THUMOS14's grid of average recall ends at 1
    tiou_thresholds=[0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0],
    max_proposals=200,
    map_tiou_thresholds=[0.3, 0.4, 0.5, 0.6, 0.7],
)
test_evaluator = val_evaluator
