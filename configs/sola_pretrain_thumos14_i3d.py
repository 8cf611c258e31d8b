# THUMOS14, I3D features (2048-d npy: 1024 RGB and 1024 flow; window 16, stride 4), laid out as
# ActionFormer and OpenTAD publish them. 200 videos to train on, long ones: an epoch takes one
# window of each, so there are more epochs than on HACS.
_base_ = '_base_/sola_pretrain.py'

videos = dict(
    type='SnippetFeatureDataset',
    data_root='data/thumos14/',
    ann_file='annotations/thumos14.json',
    data_prefix=dict(feature='i3d_features'),
    feature=dict(format='npy', num_channels=2048),
    timeline=dict(stride_frames=4, window_frames=16),
    on_bad_segment='drop',
)
fit = dict(**videos, subset='validation', role='fit', pipeline=_base_.whole_pipeline)
score = dict(**videos, subset='test', role='score', pipeline=_base_.whole_pipeline)

train_dataloader = dict(batch_size=64, dataset=dict(**videos, subset='validation'))
val_dataloader = dict(batch_size=1, dataset=dict(datasets=[fit, score]))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=300, val_interval=25)
