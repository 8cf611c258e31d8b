# First: mmsola train mmsola::sola/sola_pretrain_isl_i3d.py
_base_ = 'gtad_isl_i3d.py'

model = dict(
    neck=dict(
        type='SoLa',
        in_channels=1024,
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/sola_pretrain_isl_i3d/best_*.pth'),
    )
)
