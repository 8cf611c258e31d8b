# G-TAD on features of the generated videos, see _base_/datasets/video_world.py.
_base_ = ['../_base_/gtad_whole.py', '../_base_/datasets/video_world.py']

model = dict(
    feat_dim=64,
    temporal_dim=64,
    max_duration=64,
    hidden_dim_1d=64,
    hidden_dim_2d=32,
    hidden_dim_3d=64,
    graph_dim=32,
    graph_groups=8,
)

train_dataloader = dict(
    batch_size=8, num_workers=0, persistent_workers=False, dataset=_base_.training
)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=_base_.validation)
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=20, val_interval=10)
param_scheduler = [
    dict(type='MultiStepLR', begin=0, end=20, by_epoch=True, milestones=[16], gamma=0.1)
]
# proposals do not say which class they are of
val_evaluator = dict(class_agnostic=True)
test_evaluator = val_evaluator
