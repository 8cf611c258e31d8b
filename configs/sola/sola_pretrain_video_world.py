# Features of the generated videos, see _base_/datasets/video_world.py.
_base_ = ['../_base_/sola_pretrain_small.py', '../_base_/datasets/video_world.py']

model = dict(
    neck=dict(in_channels=64, hidden_channels=64),
    head=dict(in_channels=64),
)

fit = dict(**_base_.training, role='fit', pipeline=_base_.whole_pipeline)
score = dict(**_base_.validation, role='score', pipeline=_base_.whole_pipeline)

# two steps an epoch
train_dataloader = dict(batch_size=30, dataset=_base_.training)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(datasets=[fit, score]))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=200, val_interval=50)
