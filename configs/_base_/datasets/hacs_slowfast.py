# HACS Segments, SlowFast features (2304-d npy; window 32, stride 8, at 15 frames a second), as
# OpenTAD publishes them. `database` json of HACS v1.1.1.
videos = dict(
    type='SnippetFeatureDataset',
    data_root='data/HACS/',
    ann_file='HACS_segments_v1.1.1.json',
    data_prefix=dict(feature='slowfast101_15fps_stride8_len32_hacs'),
    feature=dict(format='npy', num_channels=2304),
    timeline=dict(stride_frames=8, window_frames=32, fps=15),
    on_missing='skip',
    on_bad_segment='drop',
)
training = dict(**videos, subset='training')
validation = dict(**videos, subset='validation')
official = dict(ann_file='data/HACS/HACS_segments_v1.1.1.json', subset='validation')
