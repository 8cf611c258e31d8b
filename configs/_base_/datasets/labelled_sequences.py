# Videos at their native rate for one-stage localizers, with the classes of their segments: random
# pieces to train on, whole videos to predict. A leaf config says which.
training_pipeline = [
    dict(type='GenerateGridSegments'),
    dict(type='TruncateSnippets', max_snippets=2304, trunc_thresh=0.5, crop_ratio=(0.9, 1.0)),
    dict(type='LoadSnippetSequence'),
    dict(
        type='PackSnippetInputs',
        keys=('gt_segments', 'gt_labels'),
        meta_keys=('video_name', 'grid_sec'),
    ),
]
whole_pipeline = [
    dict(type='LoadSnippetSequence'),
    dict(type='GenerateGridSegments'),
    dict(
        type='PackSnippetInputs',
        meta_keys=('video_name', 'grid_sec', 'covered_sec', 'annotations'),
    ),
]
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    drop_last=True,
    # what piece of a video is cut depends on the seed, the epoch and the video
    sampler=dict(type='SnippetWindowSampler', shuffle=True),
    dataset=dict(type='SnippetFeatureDataset', pipeline=training_pipeline),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='SnippetFeatureDataset', pipeline=whole_pipeline, test_mode=True),
)
test_dataloader = val_dataloader
