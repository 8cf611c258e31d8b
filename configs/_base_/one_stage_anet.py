# ActionFormer's settings for ActivityNet: videos resized to 192 snippets, segments of one class,
# fifteen epochs. A leaf config says which features.
_base_ = 'one_stage.py'

model = dict(
    type='ActionFormer',
    num_classes=1,
    channels=256,
    max_snippets=192,
    embedding=dict(positions=True),
    backbone=dict(window=[7, 7, 7, 7, 7, -1]),
    head=dict(init_loss_norm=200, label_smoothing=0.1, loss_weight=2),
    test_cfg=dict(
        min_length=0.001,
        nms=dict(sigma=0.75, max_segments=100, per_class=False, voting_tiou=0.9),
    ),
)
resize = dict(type='ResizeSnippets', num_snippets=192)
resized_pipeline = [
    dict(type='LoadSnippetSequence'),
    resize,
    dict(type='GenerateGridSegments', min_length_sec=1e-3, drop_duplicates=True, clip=True),
    dict(type='TruncateSnippets', max_snippets=192, trunc_thresh=0.5, crop_ratio=(0.9, 1.0)),
    _base_.training_pipeline[-1],
]
resized_whole_pipeline = [_base_.whole_pipeline[0], resize, *_base_.whole_pipeline[1:]]
train_dataloader = dict(batch_size=16, dataset=dict(class_agnostic=True, pipeline=resized_pipeline))
val_dataloader = dict(dataset=dict(class_agnostic=True, pipeline=resized_whole_pipeline))
test_dataloader = val_dataloader
# every segment gets the two best classes of its video
class_scores = dict(file='data/ActivityNet/cuhk_val_simp_share.json', top_k=2, multiply='root')
val_evaluator = dict(class_scores=class_scores)
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=15)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-8, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-8, begin=5, end=15, convert_to_iter_based=True),
]
