# G-TAD on generated data, small enough for a CPU: mmsola demo-data data/demo
_base_ = ['../_base_/gtad_small.py', '../_base_/datasets/demo.py']

train_dataloader = dict(dataset=_base_.training)
val_dataloader = dict(dataset=_base_.validation)
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=12, val_interval=6)
param_scheduler = [
    dict(type='MultiStepLR', begin=0, end=12, by_epoch=True, milestones=[10], gamma=0.1)
]
# its videos hold one class each, which no proposal says
val_evaluator = dict(class_agnostic=True)
test_evaluator = val_evaluator
