# Generated data: mmsola demo-data data/demo
_base_ = ['../_base_/sola_pretrain_small.py', '../_base_/datasets/demo.py']

# a predictor as narrow as these features learns no more than their mean
model = dict(
    neck=dict(in_channels=64, hidden_channels=64),
    head=dict(in_channels=64),
)

fit = dict(**_base_.training, role='fit', pipeline=_base_.whole_pipeline)
score = dict(**_base_.validation, role='score', pipeline=_base_.whole_pipeline)

train_dataloader = dict(batch_size=32, dataset=_base_.training)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(datasets=[fit, score]))
test_dataloader = val_dataloader
# three steps an epoch: the predictor needs some 180 before the gate opens
train_cfg = dict(max_epochs=300, val_interval=100)
