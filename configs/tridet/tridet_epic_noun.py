# TriDet on the 300 nouns of EPIC-KITCHENS-100, SlowFast features, with OpenTAD's settings.
# mAP at tIoU 0.1 to 0.5 and their mean: published 27.38 26.28 24.60 22.23 18.28, 23.76;
# OpenTAD 24.95 23.76 22.22 20.00 16.63, 21.51; measured: -
_base_ = '../actionformer/actionformer_epic_noun.py'

model = dict(
    type='TriDet',
    embedding=dict(noise=0),
    backbone=dict(_delete_=True, k=4, mlp_channels=1024),
    head=dict(iou_power=0.25),
    test_cfg=dict(top_k=2000),
)
train_cfg = dict(max_epochs=20)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-8, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-8, begin=5, end=20, convert_to_iter_based=True),
]
