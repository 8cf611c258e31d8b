# ActionFormer's schedule: five epochs of warm-up from zero, thirty of a cosine, both by iteration.
# What is tested is an average of the weights.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=35, val_interval=5)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.05),
    clip_grad=dict(max_norm=1, norm_type=2),
    # only the kernels of convolutions decay
    paramwise_cfg=dict(
        custom_keys=dict(bias=dict(decay_mult=0), norm=dict(decay_mult=0), scale=dict(decay_mult=0))
    ),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-8, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-8, begin=5, end=35, convert_to_iter_based=True),
]
custom_hooks = [dict(type='EMAHook', momentum=0.001)]
