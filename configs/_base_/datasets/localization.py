# Whole videos at their native rate, and their segments. A leaf config says which.
sequence_pipeline = [
    dict(type='LoadSnippetSequence'),
    dict(type='GenerateSnippetLabels'),
    dict(
        type='PackSnippetInputs',
        keys=('gt_bbox',),
        meta_keys=(
            'video_name',
            'duration_second',
            'duration_frame',
            'annotations',
            'feature_span',
            'window_sec',
        ),
    ),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='SnippetFeatureDataset', pipeline=sequence_pipeline),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='SnippetFeatureDataset', pipeline=sequence_pipeline, test_mode=True),
)
test_dataloader = val_dataloader
