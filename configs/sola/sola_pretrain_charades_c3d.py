# Charades-STA, C3D features (4096-d pt, one tensor a video), laid out as MMAction2's
# tools/data/charades-sta says, and beside them OpenTAD's charades.json: of Charades' 157 classes.
_base_ = '../_base_/sola_pretrain.py'

model = dict(neck=dict(in_channels=4096), head=dict(in_channels=4096))

videos = dict(
    type='SnippetFeatureDataset',
    data_root='data/CharadesSTA/',
    ann_file='charades.json',
    data_prefix=dict(feature='C3D_unit16_overlap0.5_merged'),
    feature=dict(format='pt', num_channels=4096),
    # frames a second differ by video; shared evenly, snippets are right to half of their 16 frames
    timeline=dict(stride_frames=None),
    # the annotation is of all of Charades
    on_missing='skip',
    on_bad_segment='drop',
)
training = dict(**videos, subset='training')
validation = dict(**videos, subset='testing')
fit = dict(**training, role='fit', indices=2000, pipeline=_base_.whole_pipeline)
score = dict(**validation, role='score', indices=1000, pipeline=_base_.whole_pipeline)

train_dataloader = dict(dataset=training)
val_dataloader = dict(dataset=dict(datasets=[fit, score]))
test_dataloader = val_dataloader
val_evaluator = [dict(type='LinearProbe', max_snippets_per_video=20), dict(type='SelfSimilarity')]
test_evaluator = val_evaluator
