# ActionFormer on Charades, CLIP features: 157 classes, several at one time. Small enough for a CPU.
_base_ = ['../_base_/one_stage_small.py', '../_base_/datasets/charades_clip.py']

model = dict(
    feat_dim=512,
    num_classes=157,
    channels=128,
    max_snippets=80,
    test_cfg=dict(nms=dict(max_segments=200)),
)
train_dataloader = dict(batch_size=16, dataset=_base_.training)
val_dataloader = dict(dataset=_base_.validation)
test_dataloader = val_dataloader
val_evaluator = _base_.official
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=20, val_interval=5)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-8, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-8, begin=5, end=20, convert_to_iter_based=True),
]
custom_hooks = [dict(type='EMAHook', momentum=0.01)]
