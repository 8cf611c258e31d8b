# First: mmsola train mmsola::sola/sola_pretrain_anet_tsn.py. The whole chain: docs/bsn.md.
_base_ = 'tem_anet.py'

model = dict(
    neck=dict(
        type='SoLa',
        in_channels=400,
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/sola_pretrain_anet_tsn/best_*.pth'),
    )
)

work_dir = 'work_dirs/sola_tem_anet'
tem_results_dir = f'{work_dir}/results'
test_evaluator = dict(dump_config=dict(out=tem_results_dir))
val_evaluator = test_evaluator
