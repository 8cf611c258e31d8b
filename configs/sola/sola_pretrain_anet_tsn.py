# ActivityNet-1.3, CUHK's TSN features.
_base_ = ['../_base_/sola_pretrain.py', '../_base_/datasets/anet_tsn.py']

model = dict(neck=dict(in_channels=400), head=dict(in_channels=400))

fit = dict(**_base_.training, role='fit', pipeline=_base_.whole_pipeline)
score = dict(**_base_.validation, role='score', pipeline=_base_.whole_pipeline)

train_dataloader = dict(dataset=_base_.training)
val_dataloader = dict(dataset=dict(datasets=[fit, score]))
test_dataloader = val_dataloader
val_evaluator = [dict(type='LinearProbe', max_snippets_per_video=20), dict(type='SelfSimilarity')]
test_evaluator = val_evaluator
