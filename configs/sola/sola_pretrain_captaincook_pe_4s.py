# Cooking recordings of about 12 minutes, Perception Encoder features, one snippet in four seconds.
_base_ = ['../_base_/sola_pretrain_small.py', '../_base_/datasets/captaincook_pe_4s.py']

model = dict(neck=dict(in_channels=768), head=dict(in_channels=768))

fit = dict(**_base_.training, role='fit', pipeline=_base_.whole_pipeline)
score = dict(**_base_.validation, role='score', pipeline=_base_.whole_pipeline)

# one step an epoch
train_dataloader = dict(batch_size=80, dataset=_base_.training)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(datasets=[fit, score]))
test_dataloader = val_dataloader
# as the features of one snippet in a second
train_cfg = dict(max_epochs=100, val_interval=20)
custom_hooks = [
    *_base_.custom_hooks[:-1],
    dict(type='GateWarmupHook', num_steps=50, until=None),
]
