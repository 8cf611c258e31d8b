# TriDet on THUMOS14, I3D features, with OpenTAD's settings.
# mAP at tIoU 0.3 to 0.7 and their mean: published 83.62 80.07 72.94 62.35 47.35, 69.27; OpenTAD
# 84.46 81.05 73.41 62.58 46.51, 69.60; measured: -
_base_ = '../actionformer/actionformer_thumos14.py'

model = dict(type='TriDet')
optim_wrapper = dict(optimizer=dict(weight_decay=0.025))
train_cfg = dict(max_epochs=40)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-8, begin=0, end=20, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-8, begin=20, end=40, convert_to_iter_based=True),
]
val_evaluator = dict(max_proposals=2000)
test_evaluator = val_evaluator
