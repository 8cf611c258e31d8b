# SoLa under G-TAD and BMN on ActivityNet-1.3, TSN features of CUHK resized to 100 snippets.
# Where the data come from: tools/data/activitynet. Meant for a GPU.
_base_ = 'study_hacs.py'

name = 'anet'
pretrainings = dict(_delete_=True, sola_anet=dict(config='mmsola::sola/sola_pretrain_anet_tsn.py'))
arms = dict(
    sola=dict(model=dict(neck=dict(in_channels=400, init_cfg=dict(checkpoint='{sola_anet}'))))
)
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
