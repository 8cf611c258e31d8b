# SoLa between the features of ActivityNet-1.3 and MMAction2's BMN.
# First: mmsola train mmsola::sola/sola_pretrain_anet_tsn.py
_base_ = 'bmn_anet.py'

model = dict(
    neck=dict(
        type='SoLa',
        in_channels=400,
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/sola_pretrain_anet_tsn/best_*.pth'),
    )
)

work_dir = 'work_dirs/sola_bmn_anet'
test_evaluator = dict(out_file=f'{work_dir}/proposals.json')
val_evaluator = test_evaluator
