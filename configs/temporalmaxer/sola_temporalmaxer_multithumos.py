# First: mmsola train mmsola::sola/sola_pretrain_thumos14_i3d.py
_base_ = 'temporalmaxer_multithumos.py'

model = dict(
    neck=dict(
        type='SoLa',
        in_channels=2048,
        init_cfg=dict(
            type='Pretrained', checkpoint='work_dirs/sola_pretrain_thumos14_i3d/best_*.pth'
        ),
    )
)
