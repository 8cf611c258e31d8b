# What every BMN config on native snippet features inherits.
_base_ = [
    'default_runtime.py',
    'mmaction::_base_/models/bmn_400x100.py',
    'datasets/localization.py',
    'schedules/bmn_9e.py',
]

val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
val_evaluator = dict(type='LocalizationMetric')
test_evaluator = val_evaluator
