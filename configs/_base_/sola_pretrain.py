# What every SoLa pretraining config inherits.
_base_ = [
    'default_runtime.py',
    'models/sola_pretrainer.py',
    'datasets/snippet_features.py',
    'schedules/sola_150e.py',
]

val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
val_evaluator = [dict(type='LinearProbe'), dict(type='SelfSimilarity')]
test_evaluator = val_evaluator

# `loss` is logged as a mean over 20 steps; what is read beside it should be as well
log_processor = dict(
    custom_cfg=[
        dict(data_src='kl', method_name='mean', window_size=20),
        dict(data_src='modulation', method_name='mean', window_size=20),
    ]
)

# the probe picks the checkpoint: more training is not always better; a checkpoint every epoch would
# take as long as the epoch on a fast GPU
default_hooks = dict(checkpoint=dict(interval=10, save_best='probe/auc', rule='greater'))
custom_hooks = [dict(type='ValidateFirstHook'), dict(type='TSMVisualizationHook', num_videos=4)]
