# First: mmsola train mmsola::sola/sola_pretrain_thumos14_i3d.py
_base_ = 'gtad_thumos14.py'

model = dict(
    neck=dict(
        type='SoLa',
        in_channels=2048,
        init_cfg=dict(
            type='Pretrained', checkpoint='work_dirs/sola_pretrain_thumos14_i3d/best_*.pth'
        ),
    )
)

work_dir = 'work_dirs/sola_gtad_thumos14'
test_evaluator = dict(out_file=f'{work_dir}/proposals.json')
