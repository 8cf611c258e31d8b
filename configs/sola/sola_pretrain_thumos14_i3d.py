# THUMOS14, I3D features. 200 videos to train on, long ones: an epoch takes one window of each, so
# there are more epochs than on HACS.
_base_ = ['../_base_/sola_pretrain.py', '../_base_/datasets/thumos14_i3d.py']

fit = dict(**_base_.training, role='fit', pipeline=_base_.whole_pipeline)
score = dict(**_base_.validation, role='score', pipeline=_base_.whole_pipeline)

train_dataloader = dict(batch_size=64, dataset=_base_.training)
val_dataloader = dict(batch_size=1, dataset=dict(datasets=[fit, score]))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=300, val_interval=25)
