# THUMOS14, I3D features (2048-d npy: 1024 RGB and 1024 flow; window 16, stride 4), laid out as
# ActionFormer and OpenTAD publish them; folders of RGB and of flow are joined by
# feature=dict(streams=['rgb', 'flow']). Its `validation` subset is what everybody trains on.
videos = dict(
    type='SnippetFeatureDataset',
    data_root='data/thumos14/',
    ann_file='annotations/thumos14.json',
    data_prefix=dict(feature='i3d_features'),
    feature=dict(format='npy', num_channels=2048),
    timeline=dict(stride_frames=4, window_frames=16),
    on_bad_segment='drop',
)
training = dict(**videos, subset='validation')
validation = dict(**videos, subset='test')
official = dict(
    ann_file='data/thumos14/annotations/thumos14.json',
    subset='test',
    convention='opentad',
    ignored_classes=['Ambiguous'],
)
