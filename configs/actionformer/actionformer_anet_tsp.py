# ActionFormer on ActivityNet-1.3, TSP features, as published.
# mAP at tIoU 0.5, 0.75, 0.95 and its mean: published 54.67 37.81 8.36, 36.56; measured: -
_base_ = ['../_base_/one_stage_anet.py', '../_base_/datasets/anet_tsp.py']

model = dict(feat_dim=512)
train_dataloader = dict(dataset=_base_.training)
val_dataloader = dict(dataset=_base_.validation)
test_dataloader = val_dataloader
val_evaluator = _base_.official
test_evaluator = val_evaluator
