# Does SoLa help localizers where labels are few and videos not many? Four sets, three localizers.
# What is asked is said here, before the runs: the main arms, and what each is compared with.
#
#   plain          the features as they are
#   scaled         each channel standardised
#   sola           SoLa, the published recipe
#   recipe         SoLa that learned on standardised features; its output on the features' own scale
#   recipe_scaled  the same module; its output standardised (compare with scaled)
#   smooth         a moving average of the recipe's reach, on the features' own scale
#   scratch        the recipe's module, trained along with the localizer from scratch
#   beside         plain features and the recipe's, side by side
#   boundaries     boundaries from the recipe's features, classes from plain ones
name = 'small_sets'

_to_input = dict(standardize=dict(scale='input'))
_recipe_near = dict(model=dict(neck=_to_input))
_recipe_captaincook = dict(
    model=dict(
        neck=dict(**_to_input, dilations=(5, 1)),
        start=10,
        step=8,
    ),
    train_dataloader=dict(
        dataset=dict(
            pipeline=[
                dict(type='LoadSnippetWindow', window=77),
                dict(type='PackSnippetInputs', meta_keys=('video_name', 'start_snippet')),
            ]
        )
    ),
)
_figures = dict(
    val_evaluator=[
        dict(type='LinearProbe', folds=5, max_snippets_per_video=50),
        dict(type='BoundaryProbe', folds=5),
        dict(type='ChangeContrast'),
    ],
    train_cfg=dict(max_epochs=100, val_interval=50),
)
pretrainings = dict(
    sola_isl=dict(config='mmsola::sola/sola_pretrain_isl_i3d.py', options=_figures),
    recipe_isl=dict(
        config='mmsola::sola/sola_pretrain_isl_i3d.py', options=dict(**_figures, **_recipe_near)
    ),
    sola_charades=dict(config='mmsola::sola/sola_pretrain_charades_clip.py'),
    recipe_charades=dict(
        config='mmsola::sola/sola_pretrain_charades_clip.py', options=_recipe_near
    ),
    sola_captaincook=dict(config='mmsola::sola/sola_pretrain_captaincook_pe.py', options=_figures),
    recipe_captaincook=dict(
        config='mmsola::sola/sola_pretrain_captaincook_pe.py',
        options=dict(**_figures, **_recipe_captaincook),
    ),
    sola_world=dict(config='mmsola::sola/sola_pretrain_video_world.py'),
    recipe_world=dict(config='mmsola::sola/sola_pretrain_video_world.py', options=_recipe_near),
)

_shape = dict(in_channels='{channels}', hidden_channels='{hidden}')
_recipe = dict(
    type='SoLa',
    **_shape,
    dilations='{dilations}',
    init_cfg=dict(type='Pretrained', checkpoint='{pretrained}'),
)
arms = dict(
    plain=dict(),
    scaled=dict(
        model=dict(
            neck=dict(
                type='Standardize',
                in_channels='{channels}',
                # the statistics of all videos, labelled or not
                init_cfg=dict(type='Pretrained', checkpoint='{pretrained}'),
            )
        )
    ),
    recipe=dict(model=dict(neck=dict(**_recipe, **_to_input))),
    recipe_scaled=dict(model=dict(neck=dict(**_recipe, standardize=dict(scale='unit_variance')))),
    smooth=dict(model=dict(neck=dict(type='TemporalSmoothing', kernel_size='{kernel_size}'))),
    sola=dict(
        model=dict(
            neck=dict(
                type='SoLa',
                **_shape,
                init_cfg=dict(type='Pretrained', checkpoint='{published}'),
            )
        )
    ),
    scratch=dict(
        model=dict(
            neck=dict(type='SoLa', **_shape, dilations='{dilations}', frozen=False, **_to_input)
        )
    ),
    beside=dict(
        model=dict(
            feat_dim='{both}',
            neck=dict(type='PlainBeside', neck=dict(**_recipe, **_to_input)),
        )
    ),
    boundaries=dict(model=dict(neck_feeds='boundaries', neck=dict(**_recipe, **_to_input))),
)
baseline = 'plain'
main_arms = ['recipe', 'scaled', 'recipe_scaled']
controls = dict(recipe=['smooth'], recipe_scaled=['scaled'])
seeds = [0, 1, 2, 3, 4]
few_seeds = dict(smooth=3, sola=3, scratch=3, beside=3, boundaries=3)
_proposals = ['plain', 'scaled', 'recipe', 'recipe_scaled', 'smooth', 'sola', 'scratch', 'beside']

_near = dict(dilations=(1, 1), kernel_size=5)
_isl = dict(
    channels=1024,
    both=2048,
    hidden=512,
    **_near,
    published='{sola_isl}',
    pretrained='{recipe_isl}',
)
_charades = dict(
    channels=512,
    both=1024,
    hidden=512,
    **_near,
    published='{sola_charades}',
    pretrained='{recipe_charades}',
)
_captaincook = dict(
    channels=768,
    both=1536,
    hidden=512,
    dilations=(5, 1),
    kernel_size=21,
    published='{sola_captaincook}',
    pretrained='{recipe_captaincook}',
)
_world = dict(
    channels=64,
    both=128,
    hidden=64,
    **_near,
    published='{sola_world}',
    pretrained='{recipe_world}',
)
_detections = ['loc/mAP', 'loc/class_agnostic_AP', 'loc/AR@50']
_proposal_figures = ['loc/AUC', 'loc/AR@10', 'loc/class_agnostic_AP']
_longer = dict(
    train_cfg=dict(max_epochs=30, val_interval=10),
    param_scheduler=[
        dict(type='LinearLR', start_factor=1e-8, begin=0, end=5, convert_to_iter_based=True),
        dict(type='CosineAnnealingLR', eta_min=1e-8, begin=5, end=30, convert_to_iter_based=True),
    ],
)

rows = [
    dict(
        set='captaincook_pe',
        localizer='ActionFormer',
        config='mmsola::actionformer/actionformer_captaincook_pe.py',
        options=_longer,
        values=_captaincook,
        figures=_detections,
        shares=[1.0, 0.25, 0.1],
    ),
    dict(
        set='isl_i3d',
        localizer='ActionFormer',
        config='mmsola::actionformer/actionformer_isl_i3d.py',
        values=_isl,
        figures=_detections,
        shares=[1.0, 0.1],
    ),
    dict(
        set='isl_i3d',
        localizer='BMN',
        config='mmsola::bmn/bmn_isl_i3d.py',
        values=_isl,
        arms=_proposals,
        figures=_proposal_figures,
    ),
    dict(
        set='isl_i3d',
        localizer='GTAD',
        config='mmsola::gtad/gtad_isl_i3d.py',
        values=_isl,
        arms=['plain', 'scaled', 'recipe', 'recipe_scaled'],
        figures=_proposal_figures,
        seeds=[0, 1, 2],
    ),
    dict(
        set='charades_clip',
        localizer='ActionFormer',
        config='mmsola::actionformer/actionformer_charades_clip.py',
        values=_charades,
        figures=_detections,
        arms=['plain', 'scaled', 'recipe', 'recipe_scaled'],
        seeds=[0, 1, 2],
    ),
    dict(
        set='video_world',
        localizer='BMN',
        config='mmsola::bmn/bmn_video_world.py',
        values=_world,
        arms=['plain', 'scaled', 'recipe', 'recipe_scaled', 'smooth'],
        figures=_proposal_figures,
    ),
]
