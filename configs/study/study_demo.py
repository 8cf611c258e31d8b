# A study small enough for a CPU, in two minutes: mmsola demo-data data/demo
# Two seeds and a short pretraining show how a study is written; they prove nothing.
name = 'demo'

pretrainings = dict(
    sola_demo=dict(
        config='mmsola::sola/sola_pretrain_demo.py',
        options=dict(train_cfg=dict(max_epochs=100, val_interval=50)),
    )
)

# what is laid over the config of a row; plain is the config as it is
arms = dict(
    plain=dict(),
    smooth=dict(model=dict(neck=dict(type='TemporalSmoothing', kernel_size=5))),
    sola=dict(
        model=dict(
            neck=dict(
                type='SoLa',
                in_channels='{channels}',
                hidden_channels='{channels}',
                # the chosen checkpoint of the pretraining with the same seed
                init_cfg=dict(type='Pretrained', checkpoint='{sola_demo}'),
            )
        )
    ),
)
baseline = 'plain'
main_arms = ['sola']
controls = dict(sola=['smooth'])
few_seeds = dict(smooth=1)
seeds = [0, 1]
figures = ['loc/AUC', 'loc/AR@10', 'loc/class_agnostic_AP']

rows = [
    dict(
        set='demo',
        localizer='BMN',
        config='mmsola::bmn/bmn_demo.py',
        options=dict(
            model=dict(temporal_dim=32, hidden_dim_2d=16, hidden_dim_3d=32),
            train_cfg=dict(max_epochs=8, val_interval=2),
        ),
        values=dict(channels=64),
    )
]
