# The same, small enough for a CPU: short sequences are not padded to the longest of the training,
# the window is narrower, the rate faster. The average takes more of each step where there are fewer
# steps than the published schedules have: these are for 200 steps and more, such as of 60
# videos in batches of 8, or of 15 in batches of 2.
_base_ = 'one_stage.py'

model = dict(type='ActionFormer', num_levels=5, pad_to_max=False, backbone=dict(window=9))
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_dataloader = dict(num_workers=0, persistent_workers=False)
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=30, val_interval=10)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-8, begin=0, end=2, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-8, begin=2, end=30, convert_to_iter_based=True),
]
custom_hooks = [dict(type='EMAHook', momentum=0.05)]
