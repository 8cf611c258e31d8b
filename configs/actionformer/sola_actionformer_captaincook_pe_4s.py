# First: mmsola train mmsola::sola/sola_pretrain_captaincook_pe_4s.py
_base_ = 'actionformer_captaincook_pe_4s.py'

model = dict(
    neck=dict(
        type='SoLa',
        in_channels=768,
        init_cfg=dict(
            type='Pretrained', checkpoint='work_dirs/sola_pretrain_captaincook_pe_4s/best_*.pth'
        ),
    )
)
