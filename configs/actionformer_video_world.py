# ActionFormer on features of the generated videos, see _base_/datasets/video_world.py.
_base_ = ['_base_/one_stage.py', '_base_/datasets/video_world.py']

model = dict(
    type='ActionFormer',
    feat_dim=64,
    num_classes=8,
    channels=64,
    num_levels=5,
    max_snippets=256,
    pad_to_max=False,
    backbone=dict(window=9),
)
train_dataloader = dict(
    batch_size=8, num_workers=0, persistent_workers=False, dataset=_base_.training
)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=_base_.validation)
test_dataloader = val_dataloader
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_cfg = dict(max_epochs=30, val_interval=10)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-8, begin=0, end=2, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-8, begin=2, end=30, convert_to_iter_based=True),
]
# of fewer steps than the published schedules have
custom_hooks = [dict(type='EMAHook', momentum=0.05)]
