# Indian Sign Language sentences, I3D features (1024-d, one HDF5 file), 102 videos to train on.
_base_ = '_base_/sola_pretrain_small.py'

model = dict(neck=dict(in_channels=1024), head=dict(in_channels=1024))

videos = dict(
    type='SnippetFeatureDataset',
    data_root='data/isl_i3d/',
    data_prefix=dict(feature='features.h5'),
    feature=dict(num_channels=1024),
    timeline=dict(stride_frames=1, window_frames=16),
)
training = dict(**videos, ann_file='isl_anno_train.json')
fit = dict(**training, role='fit', pipeline=_base_.whole_pipeline)
score = dict(**videos, ann_file='isl_anno_val.json', role='score', pipeline=_base_.whole_pipeline)

# one step an epoch
train_dataloader = dict(batch_size=102, num_workers=0, persistent_workers=False, dataset=training)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(datasets=[fit, score]))
test_dataloader = val_dataloader
