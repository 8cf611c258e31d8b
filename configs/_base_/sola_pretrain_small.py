# The same for hundreds of videos or fewer, where the published schedule would hardly open the gate:
# lr 1e-3, and tanh(alpha) three times as fast and without decay. The gate needs steps, not epochs,
# and an epoch has one step at least: 300 epochs are enough for any number of videos, and a leaf
# config of many videos takes fewer. The probe that picks the checkpoint never sees the scored
# videos.
_base_ = 'sola_pretrain.py'

# it soon overfits few videos: the best epoch may be fifty steps after the gate opened
train_cfg = dict(max_epochs=300, val_interval=25)
optim_wrapper = dict(
    optimizer=dict(lr=1e-3),
    paramwise_cfg=dict(custom_keys={'neck.alpha': dict(lr_mult=3.0, decay_mult=0.0)}),
)
# a gate as fast as this may fall for making all snippets alike before the predictor knows anything
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='GateWarmupHook', num_steps=50, until=0.98, needed_steps=300),
]
# The linear probe prefers what smooths. Two more figures can pick the checkpoint, but a validation
# takes two to four times as long: `dict(type='ChangeContrast')` (no labels; save_best is
# 'change/contrast') and `dict(type='BoundaryProbe', folds=5)` ('boundary/cv_auc').
val_evaluator = [dict(type='LinearProbe', folds=5), dict(type='SelfSimilarity')]
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='probe/cv_auc'))
