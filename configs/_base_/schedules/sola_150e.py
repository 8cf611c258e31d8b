# The published schedule: AdamW, lr 1e-4, its default weight decay, 150 epochs, one window a video.
# a GPU gets one launch a step (capture='auto'; False switches it off)
train_cfg = dict(type='CapturedTrainLoop', max_epochs=150, val_interval=10)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.01, fused=True),
    # the gate tanh(alpha) can learn at a pace of its own
    paramwise_cfg=dict(custom_keys={'neck.alpha': dict(lr_mult=1.0, decay_mult=1.0)}),
)
