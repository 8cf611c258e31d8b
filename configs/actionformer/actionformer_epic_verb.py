# ActionFormer on the 97 verbs of EPIC-KITCHENS-100, SlowFast features, as published.
# mAP at tIoU 0.1 to 0.5 and their mean: published 26.58 25.42 24.15 22.29 19.09, 23.51; measured: -
_base_ = ['../_base_/one_stage.py', '../_base_/datasets/epic_slowfast.py']

model = dict(
    type='ActionFormer',
    feat_dim=2304,
    num_classes=97,
    backbone=dict(window=9),
    head=dict(
        init_loss_norm=250,
        ranges=[(0, 4), (2, 8), (4, 16), (8, 32), (16, 64), (32, 10000)],
    ),
    test_cfg=dict(top_k=5000, nms=dict(sigma=0.4, max_segments=2000)),
)
pieces = [
    _base_.training_pipeline[0],
    dict(type='TruncateSnippets', max_snippets=2304, trunc_thresh=0.3),
    *_base_.training_pipeline[2:],
]
classes = 'annotations/epic_kitchens_100_verb_classes.txt'
train_dataloader = dict(dataset=dict(**_base_.training, classes=classes, pipeline=pieces))
val_dataloader = dict(dataset=dict(**_base_.validation, classes=classes))
test_dataloader = val_dataloader
val_evaluator = dict(
    **_base_.official,
    max_proposals=2000,
    map_tiou_thresholds=[0.1, 0.2, 0.3, 0.4, 0.5],
)
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=21)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-8, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-8, begin=5, end=21, convert_to_iter_based=True),
]
