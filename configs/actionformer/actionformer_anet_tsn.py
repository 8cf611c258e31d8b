# ActionFormer on ActivityNet-1.3, CUHK's TSN features, with the settings for TSP features.
# mAP at tIoU 0.5, 0.75, 0.95 and its mean: published none; measured: -
_base_ = ['../_base_/one_stage_anet.py', '../_base_/datasets/anet_tsn.py']

model = dict(feat_dim=400)
train_dataloader = dict(dataset=_base_.training)
val_dataloader = dict(dataset=_base_.validation)
test_dataloader = val_dataloader
val_evaluator = _base_.official
test_evaluator = val_evaluator
