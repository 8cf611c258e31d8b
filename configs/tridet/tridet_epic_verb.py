# TriDet on the 97 verbs of EPIC-KITCHENS-100, SlowFast features, with OpenTAD's settings.
# mAP at tIoU 0.1 to 0.5 and their mean: published 28.72 27.57 26.19 24.26 20.83, 25.51;
# OpenTAD 27.88 27.00 25.52 23.74 20.72, 24.97; measured: -
_base_ = '../actionformer/actionformer_epic_verb.py'

model = dict(
    type='TriDet',
    embedding=dict(noise=0),
    backbone=dict(_delete_=True, window=5, k=2, mlp_channels=1024),
    head=dict(iou_power=0.25),
    test_cfg=dict(top_k=2000),
)
train_cfg = dict(max_epochs=25)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-8, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-8, begin=5, end=25, convert_to_iter_based=True),
]
