# Windows of 23 snippets to train on, whole videos to probe. A leaf config says which.
window_pipeline = [
    dict(type='LoadSnippetWindow'),  # of 23, unless reach_sec or step_sec of the model need others
    dict(type='PackSnippetInputs', meta_keys=('video_name', 'start_snippet')),
]
whole_pipeline = [
    dict(type='LoadSnippetSequence'),
    dict(
        type='PackSnippetInputs',
        meta_keys=('video_name', 'role', 'group', 'snippet_centres_sec', 'annotations'),
    ),
]

train_dataloader = dict(
    batch_size=256,
    # windows are gathered in memory, on the GPU if there is one: workers could only slow it down
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='SnippetWindowSampler', shuffle=True),
    # videos of `window` snippets or fewer are left out, as published
    dataset=dict(
        type='SnippetFeatureDataset', pipeline=window_pipeline, bank=dict(dtype='float32')
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    # one data set of role='fit', one of role='score'
    dataset=dict(type='ConcatDataset', datasets=[]),
)
test_dataloader = val_dataloader
