# Charades (test split), CLIP ViT-B/32 features (512-d npy, one snippet a second). Dense: its
# segments cover 94 % of the time, so the probe looks at single classes as well.
_base_ = '_base_/sola_pretrain_small.py'

model = dict(neck=dict(in_channels=512), head=dict(in_channels=512))

videos = dict(
    type='SnippetFeatureDataset',
    data_root='data/charades_clip/',
    ann_file='annotations.json',
    data_prefix=dict(feature='features'),
    feature=dict(format='npy', num_channels=512),
    timeline=dict(stride_frames=1, window_frames=0, fps=1),
)
training = dict(**videos, subset='training')
fit = dict(**training, role='fit', pipeline=_base_.whole_pipeline)
score = dict(**videos, subset='validation', role='score', pipeline=_base_.whole_pipeline)

train_dataloader = dict(
    batch_size=128, num_workers=0, persistent_workers=False, dataset=training
)
val_dataloader = dict(
    batch_size=64, num_workers=0, persistent_workers=False, dataset=dict(datasets=[fit, score])
)
test_dataloader = val_dataloader
val_evaluator = [
    dict(type='LinearProbe', targets=['foreground', 'classes'], num_classes=40, folds=5),
    dict(type='SelfSimilarity'),
]
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=60)
default_hooks = dict(checkpoint=dict(save_best='probe/cv_mAP'))
