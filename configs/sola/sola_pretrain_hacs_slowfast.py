# HACS Segments, SlowFast features.
_base_ = ['../_base_/sola_pretrain.py', '../_base_/datasets/hacs_slowfast.py']

model = dict(neck=dict(in_channels=2304), head=dict(in_channels=2304))

# a probe does not need all 37,600 training videos
fit = dict(**_base_.training, role='fit', indices=4000, pipeline=_base_.whole_pipeline)
score = dict(**_base_.validation, role='score', indices=2000, pipeline=_base_.whole_pipeline)

# about ten million snippets; what does not fit in memory is mapped from a file
train_dataloader = dict(dataset=dict(**_base_.training, bank=dict(dtype='float16')))
val_dataloader = dict(batch_size=1, num_workers=8, dataset=dict(datasets=[fit, score]))
test_dataloader = val_dataloader
val_evaluator = [dict(type='LinearProbe', max_snippets_per_video=20), dict(type='SelfSimilarity')]
test_evaluator = val_evaluator
