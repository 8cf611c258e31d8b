# First: mmsola train mmsola::sola/sola_pretrain_anet_tsn.py
_base_ = 'gtad_anet_tsn.py'

model = dict(
    neck=dict(
        type='SoLa',
        in_channels=400,
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/sola_pretrain_anet_tsn/best_*.pth'),
    )
)
