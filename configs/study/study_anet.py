# SoLa under G-TAD and BMN on ActivityNet-1.3, TSN features of CUHK resized to 100 snippets.
# Where the data come from: tools/data/activitynet. Meant for a GPU.
name = 'anet'
pretrainings = dict(sola_anet=dict(config='mmsola::sola/sola_pretrain_anet_tsn.py'))
arms = dict(
    plain=dict(),
    sola=dict(
        model=dict(
            neck=dict(
                type='SoLa',
                in_channels=400,
                init_cfg=dict(type='Pretrained', checkpoint='{sola_anet}'),
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
figures = ['loc/AUC', 'loc/AR@100']
rows = [
    dict(
        set='anet',
        localizer='GTAD',
        config='mmsola::gtad/gtad_anet_tsn.py',
        # with the classes of whole videos
        figures=['loc/AUC', 'loc/AR@100', 'loc/mAP', 'loc/mAP@0.50'],
    ),
    dict(set='anet', localizer='BMN', config='mmsola::bmn/bmn_anet.py'),
]
