# BSN's second network, on the proposals of bsn_pgm_anet.py. The whole chain: docs/bsn.md.
_base_ = 'mmaction::localization/bsn/bsn_pem_1xb16-400x100-20e_activitynet-feature.py'

custom_imports = dict(imports=['mmsola'], allow_failed_imports=False)

work_dir = 'work_dirs/bsn_pem_anet'
pgm_proposals_dir = 'work_dirs/bsn_pgm_anet/proposals'
pgm_features_dir = 'work_dirs/bsn_pgm_anet/features'

pgm = dict(pgm_proposals_dir=pgm_proposals_dir, pgm_features_dir=pgm_features_dir)
train_pipeline = [dict(type='LoadProposals', top_k=500, **pgm), _base_.train_pipeline[1]]
val_pipeline = [dict(type='LoadProposals', top_k=1000, **pgm), _base_.val_pipeline[1]]
test_pipeline = val_pipeline
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

test_evaluator = dict(
    _delete_=True,
    type='LocalizationMetric',
    ann_file=_base_.test_dataloader.dataset.ann_file,
    strip_prefix='v_',
    out_file=f'{work_dir}/proposals.json',
)
val_evaluator = test_evaluator
