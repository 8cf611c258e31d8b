# ActionFormer on Indian Sign Language sentences, small enough for a CPU.
_base_ = ['../_base_/one_stage_small.py', '../_base_/datasets/isl_i3d.py']

model = dict(feat_dim=1024, num_classes=1, channels=128, max_snippets=176)
train_dataloader = dict(batch_size=8, dataset=_base_.training)
val_dataloader = dict(dataset=_base_.validation)
test_dataloader = val_dataloader
val_evaluator = _base_.official
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=25, val_interval=5)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-8, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-8, begin=5, end=25, convert_to_iter_based=True),
]
custom_hooks = [dict(type='EMAHook', momentum=0.02)]
