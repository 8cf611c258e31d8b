# Charades (test split), CLIP ViT-B/32 features (512-d npy, one snippet a second): 688 videos to
# train on, 327 to score, split by person.
videos = dict(
    type='SnippetFeatureDataset',
    data_root='data/charades_clip/',
    ann_file='annotations.json',
    data_prefix=dict(feature='features'),
    feature=dict(format='npy', num_channels=512),
    timeline=dict(stride_frames=1, window_frames=0, fps=1),
)
training = dict(**videos, subset='training')
validation = dict(**videos, subset='validation')
official = dict(ann_file='data/charades_clip/annotations.json', subset='validation')
