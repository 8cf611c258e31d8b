# Generated data: python tools/make_demo_data.py data/demo
_base_ = '_base_/sola_pretrain_small.py'

model = dict(
    neck=dict(in_channels=64, hidden_channels=64),
    head=dict(in_channels=64, predictor_channels=64),
)

videos = dict(
    type='SnippetFeatureDataset',
    data_root='data/demo/',
    ann_file='annotations.json',
    data_prefix=dict(feature='features'),
    timeline=dict(stride_frames=8, window_frames=16),
    group_field='subject',
)
fit = dict(**videos, subset='training', role='fit', pipeline=_base_.whole_pipeline)
score = dict(**videos, subset='validation', role='score', pipeline=_base_.whole_pipeline)

train_dataloader = dict(batch_size=32, num_workers=0, persistent_workers=False,
                        dataset=dict(**videos, subset='training'))
val_dataloader = dict(num_workers=0, persistent_workers=False,
                      dataset=dict(datasets=[fit, score]))
test_dataloader = val_dataloader
