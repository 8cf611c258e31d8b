# SoLa in front of both networks: this one refines the proposals of sola_bmn_hacs.py, which are
# written as tcanet_hacs.py says.
# First: mmsola train mmsola::sola/sola_pretrain_hacs_i3d.py
_base_ = 'tcanet_hacs.py'

model = dict(
    neck=dict(
        type='SoLa',
        in_channels=2048,
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/sola_pretrain_hacs_i3d/best_*.pth'),
    )
)

work_dir = 'work_dirs/sola_tcanet_hacs'
train_pipeline = [
    *_base_.sequence_pipeline[:2],
    dict(
        type='LoadSnippetProposals', proposal_file='work_dirs/sola_bmn_hacs/proposals_training.json'
    ),
    _base_.pack,
]
val_pipeline = [
    *_base_.sequence_pipeline[:2],
    dict(
        type='LoadSnippetProposals',
        proposal_file='work_dirs/sola_bmn_hacs/proposals_validation.json',
    ),
    _base_.pack,
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
test_evaluator = dict(out_file=f'{work_dir}/proposals_validation.json')
