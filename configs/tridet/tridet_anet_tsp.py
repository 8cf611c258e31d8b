# TriDet on ActivityNet-1.3, TSP features at their native rate, with OpenTAD's settings.
# mAP at tIoU 0.5, 0.75, 0.95 and its mean: published 54.71 38.01 8.35, 36.77; OpenTAD 54.89 38.20
# 8.21, 36.96; measured: -
_base_ = ['../_base_/one_stage.py', '../_base_/datasets/anet_tsp.py']

model = dict(
    type='TriDet',
    feat_dim=512,
    num_classes=1,
    channels=256,
    max_snippets=768,
    embedding=dict(positions=True, noise=0.5),
    backbone=dict(window=15, k=1.3, mlp_channels=2048, init_std=0.2),
    head=dict(channels=512, num_bins=12, iou_power=1, label_smoothing=0.1, init_loss_norm=400),
    # as OpenTAD, which takes everything of one class
    test_cfg=dict(
        score_threshold=None,
        top_k=None,
        nms=dict(sigma=0.7, max_segments=200, per_class=False, voting_tiou=0.95, voting_by='score'),
    ),
)
pieces = [
    _base_.training_pipeline[0],
    dict(type='TruncateSnippets', max_snippets=768),
    *_base_.training_pipeline[2:],
]
train_dataloader = dict(
    batch_size=16, dataset=dict(**_base_.training, class_agnostic=True, pipeline=pieces)
)
val_dataloader = dict(dataset=dict(**_base_.validation, class_agnostic=True))
test_dataloader = val_dataloader
val_evaluator = dict(
    **_base_.official,
    class_scores=dict(file='data/ActivityNet/cuhk_val_simp_share.json', top_k=2, multiply=True),
)
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=15)
optim_wrapper = dict(optimizer=dict(lr=1e-3, weight_decay=0.04), clip_grad=dict(max_norm=0.4))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-8, begin=0, end=10, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=5e-5, begin=10, end=15, convert_to_iter_based=True),
]
