# CaptainCook4D, Perception Encoder features (768-d npy, one snippet a second): 80 recordings of
# about 12 minutes to train on, 18 of another person to score, 117 named steps.
videos = dict(
    type='SnippetFeatureDataset',
    data_root='data/captaincook_pe/',
    ann_file='annotations.json',
    data_prefix=dict(feature='features'),
    feature=dict(format='npy', num_channels=768),
    timeline=dict(stride_frames=1, window_frames=1, fps=1),
)
training = dict(**videos, subset='training')
validation = dict(**videos, subset='validation')
official = dict(ann_file='data/captaincook_pe/annotations.json', subset='validation')
