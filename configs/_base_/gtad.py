# What every G-TAD config inherits: the authors' settings for THUMOS14, which are the defaults.
_base_ = ['default_runtime.py', 'datasets/localization.py', 'schedules/gtad_10e.py']

model = dict(type='GTAD')

val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
val_evaluator = dict(type='LocalizationMetric')
test_evaluator = val_evaluator
