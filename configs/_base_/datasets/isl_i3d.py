# Indian Sign Language sentences, I3D features (1024-d, one HDF5 file): 102 videos to train on, 37
# to score, 39 to 175 snippets each.
videos = dict(
    type='SnippetFeatureDataset',
    data_root='data/isl_i3d/',
    data_prefix=dict(feature='features.h5'),
    feature=dict(num_channels=1024),
    timeline=dict(stride_frames=1, window_frames=16),
)
training = dict(**videos, ann_file='isl_anno_train.json')
validation = dict(**videos, ann_file='isl_anno_val.json')
official = dict(ann_file='data/isl_i3d/isl_anno_val.json')
