# The paper's setting: SoLa by the published recipe under G-TAD on HACS Segments, I3D features.
# Where the data come from: tools/data/hacs. Meant for a GPU.
name = 'hacs'
pretrainings = dict(sola_hacs=dict(config='mmsola::sola/sola_pretrain_hacs_i3d.py'))
arms = dict(
    plain=dict(),
    sola=dict(
        model=dict(
            neck=dict(
                type='SoLa',
                in_channels=2048,
                init_cfg=dict(type='Pretrained', checkpoint='{sola_hacs}'),
            )
        )
    ),
    smooth=dict(model=dict(neck=dict(type='TemporalSmoothing', kernel_size=5))),
)
baseline = 'plain'
main_arms = ['sola']
controls = dict(sola=['smooth'])
seeds = [0, 1, 2]
shares = [1.0, 0.1]
figures = ['loc/AUC', 'loc/AR@100', 'loc/class_agnostic_AP']
rows = [
    dict(set='hacs', localizer='GTAD', config='mmsola::gtad/gtad_hacs.py'),
    dict(set='hacs', localizer='BMN', config='mmsola::bmn/bmn_hacs.py'),
]
