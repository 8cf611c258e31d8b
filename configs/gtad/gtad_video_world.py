# G-TAD on features of the generated videos, see _base_/datasets/video_world.py.
_base_ = ['../_base_/gtad_small.py', '../_base_/datasets/video_world.py']

train_dataloader = dict(dataset=_base_.training)
val_dataloader = dict(dataset=_base_.validation)
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=20, val_interval=10)
param_scheduler = [
    dict(type='MultiStepLR', begin=0, end=20, by_epoch=True, milestones=[16], gamma=0.1)
]
# proposals do not say which class they are of
val_evaluator = dict(class_agnostic=True)
test_evaluator = val_evaluator
