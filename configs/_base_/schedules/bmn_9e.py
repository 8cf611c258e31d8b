# MMAction2's schedule of BMN: Adam, lr 1e-3, a tenth of it for the last two of nine epochs.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=9, val_interval=1)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1e-3, weight_decay=1e-4),
    clip_grad=dict(max_norm=40, norm_type=2),
)
param_scheduler = [
    dict(type='MultiStepLR', begin=0, end=9, by_epoch=True, milestones=[7], gamma=0.1)
]
