# BMN on Charades (test split), CLIP features; all segments, of any class. It overfits early.
_base_ = ['../_base_/bmn.py', '../_base_/datasets/charades_clip.py']

model = dict(feat_dim=512, temporal_dim=32, hidden_dim_2d=64, hidden_dim_3d=256)

train_dataloader = dict(num_workers=0, persistent_workers=False, dataset=_base_.training)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=_base_.validation)
test_dataloader = val_dataloader
val_evaluator = dict(**_base_.official, class_agnostic=True)
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=2)
param_scheduler = [
    dict(type='MultiStepLR', begin=0, end=2, by_epoch=True, milestones=[1], gamma=0.1)
]
