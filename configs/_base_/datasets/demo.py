# Generated data: mmsola demo-data data/demo
videos = dict(
    type='SnippetFeatureDataset',
    data_root='data/demo/',
    ann_file='annotations.json',
    data_prefix=dict(feature='features'),
    timeline=dict(stride_frames=8, window_frames=16),
    group_field='subject',
)
training = dict(**videos, subset='training')
validation = dict(**videos, subset='validation')
