# HACS Segments, I3D features (2048-d npy), the published recipe. `database` json of HACS v1.1.1.
_base_ = '_base_/sola_pretrain.py'

videos = dict(
    type='SnippetFeatureDataset',
    data_root='data/HACS/',
    ann_file='HACS_segments_v1.1.1.json',
    data_prefix=dict(feature='i3d_feature'),
    feature=dict(format='npy', num_channels=2048),
    # without a stride, snippets share the duration of their video evenly
    timeline=dict(stride_frames=None),
    on_missing='skip',
    on_bad_segment='drop',
)
training = dict(**videos, subset='training')
# a probe does not need all 37,600 training videos
fit = dict(**training, role='fit', indices=4000, pipeline=_base_.whole_pipeline)
score = dict(**videos, subset='validation', role='score', indices=2000,
             pipeline=_base_.whole_pipeline)

train_dataloader = dict(num_workers=8, dataset=training)
val_dataloader = dict(num_workers=8, dataset=dict(datasets=[fit, score]))
test_dataloader = val_dataloader
val_evaluator = [dict(type='LinearProbe', max_snippets_per_video=20), dict(type='SelfSimilarity')]
test_evaluator = val_evaluator
