# First: mmsola train mmsola::sola/sola_pretrain_charades_clip.py
_base_ = 'bmn_charades_clip.py'

model = dict(
    neck=dict(
        type='SoLa',
        in_channels=512,
        init_cfg=dict(
            type='Pretrained', checkpoint='work_dirs/sola_pretrain_charades_clip/best_*.pth'
        ),
    )
)
