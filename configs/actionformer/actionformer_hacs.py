# ActionFormer on HACS Segments, SlowFast features, as OpenTAD has it: segments of one class,
# which get the three best classes of their video from TCANet's classifier.
# mAP at tIoU 0.5, 0.75, 0.95 and its mean: OpenTAD 56.18 37.97 11.05, 37.71; measured: -
_base_ = ['../_base_/one_stage.py', '../_base_/datasets/hacs_slowfast.py']

model = dict(
    type='ActionFormer',
    feat_dim=2304,
    num_classes=1,
    channels=256,
    max_snippets=960,
    embedding=dict(positions=True, feature_dropout=0.1, norm_eps=1e-6, mask_activations=True),
    backbone=dict(window=[13, 13, 13, 13, 13, -1]),
    pyramid=dict(norm_eps=1e-6),
    head=dict(init_loss_norm=400, label_smoothing=0.1, norm_eps=1e-6, mask_activations=True),
    test_cfg=dict(per_level=False, min_length=-1, nms=dict(sigma=0.75, max_segments=100)),
)
pieces = [
    _base_.training_pipeline[0],
    dict(type='TruncateSnippets', max_snippets=960),
    *_base_.training_pipeline[2:],
]
train_dataloader = dict(
    batch_size=16, dataset=dict(**_base_.training, class_agnostic=True, pipeline=pieces)
)
val_dataloader = dict(dataset=dict(**_base_.validation, class_agnostic=True))
test_dataloader = val_dataloader
val_evaluator = dict(
    **_base_.official,
    class_scores=dict(file='data/HACS/validation94.32.json', top_k=3, multiply=True),
)
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=15)
optim_wrapper = dict(optimizer=dict(lr=1e-3, weight_decay=0.03))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-8, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-8, begin=5, end=15, convert_to_iter_based=True),
]
