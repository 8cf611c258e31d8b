# G-TAD's schedule: Adam for ten epochs, a tenth of the rate for the last five. The rate is that of
# THUMOS14.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=10, val_interval=1)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=4e-5, weight_decay=1e-4),
    clip_grad=dict(max_norm=1, norm_type=2),
)
param_scheduler = [
    dict(type='MultiStepLR', begin=0, end=10, by_epoch=True, milestones=[5], gamma=0.1)
]
