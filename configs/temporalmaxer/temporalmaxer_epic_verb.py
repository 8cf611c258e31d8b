# TemporalMaxer on the 97 verbs of EPIC-KITCHENS-100, SlowFast features, as published.
# mAP at tIoU 0.1 to 0.5 and their mean: published 27.8 26.6 25.3 23.1 19.9, 24.5; measured: -
_base_ = '../actionformer/actionformer_epic_verb.py'

model = dict(
    type='TemporalMaxer', backbone=dict(_delete_=True), pyramid=dict(norm='layer', shared=True)
)
train_cfg = dict(max_epochs=37)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-8, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-8, begin=5, end=37, convert_to_iter_based=True),
]
