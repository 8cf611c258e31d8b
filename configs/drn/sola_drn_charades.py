# SoLa in all three stages, which drn_charades.py tells. DRN's data set takes maxima over 32 parts
# of a video before any model sees it: SoLa looks at those, not at the snippets it learned from.
# First: mmsola train mmsola::sola/sola_pretrain_charades_c3d.py
_base_ = 'drn_charades.py'

model = dict(
    neck=dict(
        type='SoLa',
        in_channels=4096,
        init_cfg=dict(
            type='Pretrained', checkpoint='work_dirs/sola_pretrain_charades_c3d/best_*.pth'
        ),
    )
)
