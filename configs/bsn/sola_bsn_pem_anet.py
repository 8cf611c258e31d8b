# The same on the proposals of sola_bsn_pgm_anet.py; SoLa is in the network that found those.
_base_ = 'bsn_pem_anet.py'

work_dir = 'work_dirs/sola_bsn_pem_anet'
pgm_proposals_dir = 'work_dirs/sola_bsn_pgm_anet/proposals'
pgm_features_dir = 'work_dirs/sola_bsn_pgm_anet/features'

pgm = dict(pgm_proposals_dir=pgm_proposals_dir, pgm_features_dir=pgm_features_dir)
train_pipeline = [dict(type='LoadProposals', top_k=500, **pgm), _base_.train_pipeline[1]]
val_pipeline = [dict(type='LoadProposals', top_k=1000, **pgm), _base_.val_pipeline[1]]
test_pipeline = val_pipeline
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

test_evaluator = dict(out_file=f'{work_dir}/proposals.json')
val_evaluator = test_evaluator
