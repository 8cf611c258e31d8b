# G-TAD on ActivityNet-1.3, TSP features, with the authors' settings for TSN features.
# mAP at tIoU 0.5, 0.75, 0.95 and its mean: OpenTAD 52.33 37.58 8.42, 36.20; measured: -
_base_ = ['../_base_/gtad_whole.py', '../_base_/datasets/anet_tsp.py']

model = dict(feat_dim=512)
train_dataloader = dict(dataset=_base_.training)
val_dataloader = dict(dataset=_base_.validation)
test_dataloader = val_dataloader
# every proposal gets the two best classes of its video
val_evaluator = dict(
    **_base_.official,
    class_scores=dict(file='data/ActivityNet/cuhk_val_simp_share.json', top_k=2, multiply=True),
)
test_evaluator = val_evaluator
