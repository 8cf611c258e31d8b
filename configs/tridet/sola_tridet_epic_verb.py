# First: mmsola train mmsola::sola/sola_pretrain_epic_slowfast.py
_base_ = 'tridet_epic_verb.py'

model = dict(
    neck=dict(
        type='SoLa',
        in_channels=2304,
        init_cfg=dict(
            type='Pretrained', checkpoint='work_dirs/sola_pretrain_epic_slowfast/best_*.pth'
        ),
    )
)
