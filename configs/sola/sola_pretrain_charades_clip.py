# Charades (test split), CLIP features. Dense: its segments cover 94 % of the time, so the probe
# looks at single classes as well.
_base_ = ['../_base_/sola_pretrain_small.py', '../_base_/datasets/charades_clip.py']

model = dict(neck=dict(in_channels=512), head=dict(in_channels=512))

fit = dict(**_base_.training, role='fit', pipeline=_base_.whole_pipeline)
score = dict(**_base_.validation, role='score', pipeline=_base_.whole_pipeline)

train_dataloader = dict(batch_size=128, dataset=_base_.training)
val_dataloader = dict(
    batch_size=64, num_workers=0, persistent_workers=False, dataset=dict(datasets=[fit, score])
)
test_dataloader = val_dataloader
val_evaluator = [
    dict(type='LinearProbe', targets=['foreground', 'classes'], num_classes=40, folds=5),
    dict(type='SelfSimilarity'),
]
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=60, val_interval=20)
default_hooks = dict(checkpoint=dict(save_best='probe/cv_mAP'))
# as it was measured: 50 steps are enough here
custom_hooks = [
    *_base_.custom_hooks[:-1],
    dict(type='GateWarmupHook', num_steps=50, until=None),
]
