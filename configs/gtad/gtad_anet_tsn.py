# G-TAD on ActivityNet-1.3, CUHK's TSN features, as published.
# mAP at tIoU 0.5, 0.75, 0.95 and its mean: published mean 34.09; OpenTAD 50.19 35.04 8.11, 34.18;
# measured: -
_base_ = ['../_base_/gtad_whole.py', '../_base_/datasets/anet_tsn.py']

model = dict(feat_dim=400)
train_dataloader = dict(dataset=_base_.training)
val_dataloader = dict(dataset=_base_.validation)
test_dataloader = val_dataloader
# every proposal gets the two best classes of its video
val_evaluator = dict(
    **_base_.official,
    class_scores=dict(file='data/ActivityNet/cuhk_val_simp_share.json', top_k=2, multiply=True),
)
test_evaluator = val_evaluator
