# First: mmsola train mmsola::sola/sola_pretrain_captaincook_pe.py
_base_ = 'gtad_captaincook_pe.py'

model = dict(
    neck=dict(
        type='SoLa',
        in_channels=768,
        init_cfg=dict(
            type='Pretrained', checkpoint='work_dirs/sola_pretrain_captaincook_pe/best_*.pth'
        ),
    )
)
