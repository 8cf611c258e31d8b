# First: mmsola train mmsola::sola/sola_pretrain_hacs_slowfast.py
_base_ = 'actionformer_hacs.py'

model = dict(
    neck=dict(
        type='SoLa',
        in_channels=2304,
        init_cfg=dict(
            type='Pretrained', checkpoint='work_dirs/sola_pretrain_hacs_slowfast/best_*.pth'
        ),
    )
)
