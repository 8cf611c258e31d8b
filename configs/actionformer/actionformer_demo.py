# ActionFormer on generated data, small enough for a CPU: mmsola demo-data data/demo
_base_ = ['../_base_/one_stage_small.py', '../_base_/datasets/demo.py']

model = dict(feat_dim=64, num_classes=5, channels=64, max_snippets=128)
train_dataloader = dict(batch_size=8, dataset=_base_.training)
val_dataloader = dict(dataset=_base_.validation)
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=20, val_interval=10)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-8, begin=0, end=2, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-8, begin=2, end=20, convert_to_iter_based=True),
]
default_hooks = dict(checkpoint=dict(max_keep_ckpts=1))
