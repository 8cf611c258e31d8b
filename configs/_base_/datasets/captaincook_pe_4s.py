# The same recordings with one snippet in four seconds, a quarter of the data. Made of them by
#
#   mmsola thin-features data/captaincook_pe/features data/captaincook_pe_4s/features \
#       --every 4 --dtype float16
videos = dict(
    type='SnippetFeatureDataset',
    data_root='data/',
    ann_file='captaincook_pe/annotations.json',
    data_prefix=dict(feature='captaincook_pe_4s/features'),
    feature=dict(format='npy', num_channels=768),
    timeline=dict(stride_frames=4, window_frames=1, fps=1),
)
training = dict(**videos, subset='training')
validation = dict(**videos, subset='validation')
official = dict(ann_file='data/captaincook_pe/annotations.json', subset='validation')
