# HACS Segments, I3D features (2048-d npy). `database` json of HACS v1.1.1.
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
validation = dict(**videos, subset='validation')
official = dict(ann_file='data/HACS/HACS_segments_v1.1.1.json', subset='validation')
