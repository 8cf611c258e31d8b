# TriDet on HACS Segments, SlowFast features, with OpenTAD's settings: 200 classes of its own.
# mAP at tIoU 0.5, 0.75, 0.95 and its mean: published 56.90 39.33 11.24, 38.69 (I3D); OpenTAD 56.84
# 39.04 11.13, 38.47; measured: -
_base_ = ['../_base_/one_stage.py', '../_base_/datasets/hacs_slowfast.py']

model = dict(
    type='TriDet',
    feat_dim=2304,
    num_classes=200,
    channels=1024,
    max_snippets=960,
    embedding=dict(positions=True, noise=0.2),
    backbone=dict(window=3, k=1.2, mlp_channels=1024, init_std=0.1),
    head=dict(
        kernel_size=5,
        boundary_kernel_size=1,
        num_bins=14,
        iou_power=1,
        label_smoothing=0.1,
        init_loss_norm=400,
    ),
    test_cfg=dict(nms=dict(sigma=0.75, max_segments=250)),
)
pieces = [
    _base_.training_pipeline[0],
    dict(type='TruncateSnippets', max_snippets=960),
    *_base_.training_pipeline[2:],
]
train_dataloader = dict(batch_size=16, dataset=dict(**_base_.training, pipeline=pieces))
val_dataloader = dict(dataset=_base_.validation)
test_dataloader = val_dataloader
val_evaluator = dict(**_base_.official, max_proposals=250)
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=11)
optim_wrapper = dict(optimizer=dict(lr=1e-3, weight_decay=0.03), clip_grad=dict(max_norm=0.5))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-8, begin=0, end=7, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=5e-4, begin=7, end=11, convert_to_iter_based=True),
]
