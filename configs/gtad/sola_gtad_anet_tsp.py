# First: mmsola train mmsola::sola/sola_pretrain_anet_tsp.py
_base_ = 'gtad_anet_tsp.py'

model = dict(
    neck=dict(
        type='SoLa',
        in_channels=512,
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/sola_pretrain_anet_tsp/best_*.pth'),
    )
)
