# EPIC-KITCHENS-100, SlowFast features (2304-d; window 32, stride 16, at 30 frames a second; npz as
# ActionFormer publishes them, or npy as OpenTAD), and its verbs. The annotations are made of the
# csv files of epic-kitchens-100-annotations: mmsola epic-annotations FOLDER verb
videos = dict(
    type='SnippetFeatureDataset',
    data_root='data/epic_kitchens/',
    ann_file='annotations/epic_kitchens_100_verb.json',
    data_prefix=dict(feature='features'),
    feature=dict(num_channels=2304),
    timeline=dict(stride_frames=16, window_frames=32, fps=30),
    on_missing='skip',
    on_bad_segment='drop',
)
training = dict(**videos, subset='training')
validation = dict(**videos, subset='validation')
official = dict(
    ann_file='data/epic_kitchens/annotations/epic_kitchens_100_verb.json',
    subset='validation',
    convention='opentad',
)
