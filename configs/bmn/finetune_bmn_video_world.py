# BMN with its encoder fine-tuned on the segments, on the frames of whole generated videos: what a
# neck on frozen features is to be compared with. It begins with the recognizer's weights:
#   mmsola video-world data/video_world
#   mmsola train mmsola::recognition/recognition_video_world.py
#   mmsola train mmsola::bmn/finetune_bmn_video_world.py
_base_ = '../recognition/recognition_video_world.py'

model = dict(
    _delete_=True,
    type='EndToEndLocalizer',
    encoder=_base_.model,
    encoder_checkpoint='work_dirs/recognition_video_world/epoch_*.pth',
    localizer=dict(
        type='BMN',
        feat_dim=_base_.model.cls_head.in_channels,
        temporal_dim=64,
        boundary_ratio=0.5,
        num_samples=32,
        num_samples_per_bin=3,
        hidden_dim_1d=64,
        hidden_dim_2d=32,
        hidden_dim_3d=64,
        soft_nms_alpha=0.4,
        soft_nms_low_threshold=0.5,
        soft_nms_high_threshold=0.9,
        post_process_top_k=100,
    ),
)

videos = dict(
    type='SnippetClipDataset',
    data_root='data/video_world/',
    ann_file='annotations.json',
    data_prefix=dict(video='videos'),
    sampling=dict(snippet_frames=8, frame_interval=2, stride_frames=8),
    # as the recognizer is validated, and features are extracted
    frame_pipeline=[
        step for step in _base_.val_pipeline if step['type'] in ('Resize', 'CenterCrop')
    ],
    pipeline=[
        dict(type='LoadSnippetClips', input_format='NCTHW'),
        dict(type='GenerateSnippetLabels'),
        dict(
            type='PackLocalizationInputs',
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
    ],
    cache=True,
)
loader = dict(batch_size=2, num_workers=0, persistent_workers=False)
train_dataloader = dict(
    _delete_=True,
    **loader,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**videos, subset='training'),
)
val_dataloader = dict(
    _delete_=True,
    **loader,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**videos, subset='validation'),
)
test_dataloader = val_dataloader

# proposals do not say which class they are of
val_evaluator = dict(_delete_=True, type='LocalizationMetric', class_agnostic=True)
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=4, val_interval=4)
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1e-3, weight_decay=1e-4),
    clip_grad=dict(max_norm=40, norm_type=2),
    # what is pretrained is to be adapted, not learned anew
    paramwise_cfg=dict(custom_keys={'encoder': dict(lr_mult=0.1)}),
)
param_scheduler = [
    dict(type='MultiStepLR', begin=0, end=4, by_epoch=True, milestones=[3], gamma=0.1)
]
default_hooks = dict(checkpoint=dict(interval=1))
