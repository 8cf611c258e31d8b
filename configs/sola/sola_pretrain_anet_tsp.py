# ActivityNet-1.3, TSP features at their native rate.
_base_ = ['../_base_/sola_pretrain.py', '../_base_/datasets/anet_tsp.py']

model = dict(neck=dict(in_channels=512), head=dict(in_channels=512))

# a probe does not need all 10,000 training videos
fit = dict(**_base_.training, role='fit', indices=2000, pipeline=_base_.whole_pipeline)
score = dict(**_base_.validation, role='score', indices=1000, pipeline=_base_.whole_pipeline)

train_dataloader = dict(dataset=_base_.training)
val_dataloader = dict(batch_size=1, dataset=dict(datasets=[fit, score]))
test_dataloader = val_dataloader
val_evaluator = [dict(type='LinearProbe', max_snippets_per_video=20), dict(type='SelfSimilarity')]
test_evaluator = val_evaluator
