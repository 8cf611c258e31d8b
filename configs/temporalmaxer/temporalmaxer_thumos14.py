# TemporalMaxer on THUMOS14, I3D features, as published.
# mAP at tIoU 0.3 to 0.7 and their mean: published 82.8 78.9 71.8 60.5 44.7, 67.7; measured: -
_base_ = '../actionformer/actionformer_thumos14.py'

model = dict(type='TemporalMaxer')
train_cfg = dict(max_epochs=65)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-8, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-8, begin=5, end=65, convert_to_iter_based=True),
]
