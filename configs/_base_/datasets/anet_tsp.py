# ActivityNet-1.3, TSP features (512-d npy; window 16, stride 16, at 15 frames a second) at their
# native rate, and the annotations of these videos, as ActionFormer publishes both.
videos = dict(
    type='SnippetFeatureDataset',
    data_root='data/ActivityNet/',
    ann_file='anet1.3_tsp_filtered.json',
    data_prefix=dict(feature='tsp_features'),
    feature=dict(format='npy', num_channels=512),
    timeline=dict(stride_frames=16, window_frames=16, fps=15),
    on_missing='skip',
    on_bad_segment='drop',
)
training = dict(**videos, subset='training')
validation = dict(**videos, subset='validation')
official = dict(ann_file='data/ActivityNet/anet1.3_tsp_filtered.json', subset='validation')
