# First: mmsola train mmsola::sola/sola_pretrain_video_world.py
_base_ = 'gtad_video_world.py'

model = dict(
    neck=dict(
        type='SoLa',
        in_channels=64,
        hidden_channels=64,
        init_cfg=dict(
            type='Pretrained', checkpoint='work_dirs/sola_pretrain_video_world/best_*.pth'
        ),
    )
)
