# What every config of a one-stage localizer inherits.
_base_ = [
    'default_runtime.py',
    'datasets/labelled_sequences.py',
    'schedules/one_stage_35e.py',
]

val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
val_evaluator = dict(type='LocalizationMetric', max_proposals=200)
test_evaluator = val_evaluator
