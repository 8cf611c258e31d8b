# TCANet on HACS Segments, I3D features at their native rate. It refines proposals of bmn_hacs.py,
# one file a subset. First, with CHECKPOINT of the trained bmn_hacs.py:
#
# mmsola test mmsola::bmn/bmn_hacs.py CHECKPOINT
# mmsola test mmsola::bmn/bmn_hacs.py CHECKPOINT --cfg-options \
#     test_dataloader.dataset.subset=training test_evaluator.subset=training \
#     test_evaluator.out_file=work_dirs/bmn_hacs/proposals_training.json
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/localization.py',
    '../_base_/schedules/bmn_9e.py',
    '../_base_/datasets/hacs_i3d.py',
]

work_dir = 'work_dirs/tcanet_hacs'
# as MMAction2's tcanet_2xb8-700x100-9e_hacs-feature.py, for 2048 channels
model = dict(
    type='TCANet',
    feat_dim=2048,
    se_sample_num=32,
    action_sample_num=64,
    temporal_dim=100,
    window_size=9,
    lgte_num=2,
    soft_nms_alpha=0.4,
    soft_nms_low_threshold=0.0,
    soft_nms_high_threshold=0.0,
    post_process_top_k=100,
)

pack = dict(_base_.sequence_pipeline[2], keys=('gt_bbox', 'proposals'))
train_pipeline = [
    *_base_.sequence_pipeline[:2],
    dict(type='LoadSnippetProposals', proposal_file='work_dirs/bmn_hacs/proposals_training.json'),
    pack,
]
val_pipeline = [
    *_base_.sequence_pipeline[:2],
    dict(type='LoadSnippetProposals', proposal_file='work_dirs/bmn_hacs/proposals_validation.json'),
    pack,
]

train_dataloader = dict(
    batch_size=8, num_workers=8, dataset=dict(_base_.training, pipeline=train_pipeline)
)
val_dataloader = dict(
    batch_size=8, num_workers=8, dataset=dict(_base_.validation, pipeline=val_pipeline)
)
test_dataloader = val_dataloader
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
val_evaluator = dict(type='LocalizationMetric', **_base_.official)
test_evaluator = dict(**val_evaluator, out_file=f'{work_dir}/proposals_validation.json')
