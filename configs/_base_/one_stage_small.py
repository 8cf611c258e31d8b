# The same, small enough for a CPU: short sequences are not padded to the longest of the training,
# the window is narrower, the rate faster. A leaf config sets widths, epochs and the average, which
# takes more of each step where there are fewer steps than the published schedules have.
_base_ = 'one_stage.py'

model = dict(type='ActionFormer', num_levels=5, pad_to_max=False, backbone=dict(window=9))
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_dataloader = dict(num_workers=0, persistent_workers=False)
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader
