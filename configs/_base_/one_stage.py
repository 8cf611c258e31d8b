# What every config of a one-stage localizer inherits.
_base_ = [
    'default_runtime.py',
    'datasets/labelled_sequences.py',
    'schedules/one_stage_35e.py',
]

# in checkpoints and tests by other tools too; ours add it themselves
default_hooks = dict(class_names=dict(type='ClassNamesHook'))
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
val_evaluator = dict(type='LocalizationMetric', max_proposals=200)
test_evaluator = val_evaluator
