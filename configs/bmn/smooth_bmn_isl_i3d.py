# Control: a moving average over the five snippets that SoLa sees.
_base_ = 'bmn_isl_i3d.py'

model = dict(neck=dict(type='TemporalSmoothing', kernel_size=5))
