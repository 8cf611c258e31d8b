# ActivityNet-1.3, CUHK's TSN features (400-d csv, every video resized to 100 snippets), laid out as
# MMAction2's tools/data/activitynet prepares them.
_base_ = '_base_/sola_pretrain.py'

model = dict(neck=dict(in_channels=400), head=dict(in_channels=400))

videos = dict(
    type='SnippetFeatureDataset',
    data_root='data/ActivityNet/',
    data_prefix=dict(feature='activitynet_feature_cuhk/csv_mean_100'),
    feature=dict(format='csv', num_channels=400),
    # a few videos of the annotation cannot be had any more
    on_missing='skip',
    on_bad_segment='drop',
)
training = dict(**videos, ann_file='anet_anno_train.json')
fit = dict(**training, role='fit', pipeline=_base_.whole_pipeline)
score = dict(**videos, ann_file='anet_anno_val.json', role='score', pipeline=_base_.whole_pipeline)

train_dataloader = dict(dataset=training)
val_dataloader = dict(dataset=dict(datasets=[fit, score]))
test_dataloader = val_dataloader
val_evaluator = [dict(type='LinearProbe', max_snippets_per_video=20), dict(type='SelfSimilarity')]
test_evaluator = val_evaluator
