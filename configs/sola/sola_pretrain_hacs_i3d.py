# HACS Segments, I3D features: the published recipe.
_base_ = ['../_base_/sola_pretrain.py', '../_base_/datasets/hacs_i3d.py']

# a probe does not need all 37,600 training videos
fit = dict(**_base_.training, role='fit', indices=4000, pipeline=_base_.whole_pipeline)
score = dict(**_base_.validation, role='score', indices=2000, pipeline=_base_.whole_pipeline)

# 7.5 million snippets: 31 GB in half precision, which a large GPU holds
train_dataloader = dict(dataset=dict(**_base_.training, bank=dict(dtype='float16')))
val_dataloader = dict(num_workers=8, dataset=dict(datasets=[fit, score]))
test_dataloader = val_dataloader
val_evaluator = [dict(type='LinearProbe', max_snippets_per_video=20), dict(type='SelfSimilarity')]
test_evaluator = val_evaluator
