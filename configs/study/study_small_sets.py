# Does SoLa help localizers where labels are few and videos not many? Four sets, three localizers.
# What is asked is said here, before the runs: the main arms, and what each is compared with.
#
#   plain          the features as they are
#   scaled         each channel standardised
#   sola           SoLa, the published recipe
#   recipe         SoLa that learned on standardised features; its output on the features' own scale
#   recipe_scaled  the same module; its output standardised (compare with scaled)
#   smooth         a moving average of the recipe's reach, on the features' own scale
#   smooth_scaled  the same over standardised features (compare recipe_scaled with it)
#   scratch        the recipe's module, trained along with the localizer from scratch
#   beside         plain features and the recipe's, side by side
#   boundaries     boundaries from the recipe's features, classes from plain ones
name = 'small_sets'

_to_input = dict(standardize=dict(scale='input'))
_on_standardised = dict(model=dict(neck=_to_input))
_figures = dict(
    val_evaluator=[
        dict(type='LinearProbe', folds=5, max_snippets_per_video=50),
        dict(type='BoundaryProbe', folds=5),
        dict(type='ChangeContrast'),
    ],
    train_cfg=dict(max_epochs=100, val_interval=50),
)
pretrainings = dict(
    recipe_isl=dict(
        config='mmsola::sola/sola_pretrain_isl_i3d.py',
        options=dict(**_figures, **_on_standardised),
    ),
    recipe_charades=dict(
        config='mmsola::sola/sola_pretrain_charades_clip.py', options=_on_standardised
    ),
    sola_captaincook=dict(
        config='mmsola::sola/sola_pretrain_captaincook_pe_4s.py', options=_figures
    ),
    recipe_captaincook=dict(
        config='mmsola::sola/sola_pretrain_captaincook_pe_4s.py',
        options=dict(**_figures, **_on_standardised),
    ),
    recipe_world=dict(config='mmsola::sola/sola_pretrain_video_world.py', options=_on_standardised),
)

# one of each kind: snippets, boundaries, and without labels
pretraining_figures = ['probe/cv_auc', 'boundary/cv_auc', 'change/contrast']

_shape = dict(in_channels='{channels}', hidden_channels='{hidden}')
_recipe = dict(
    type='SoLa',
    **_shape,
    init_cfg=dict(type='Pretrained', checkpoint='{pretrained}'),
)
_scaled = dict(
    type='Standardize',
    in_channels='{channels}',
    # the statistics of all videos, labelled or not
    init_cfg=dict(type='Pretrained', checkpoint='{pretrained}'),
)
_smooth = dict(type='TemporalSmoothing', kernel_size=5)
arms = dict(
    plain=dict(),
    scaled=dict(model=dict(neck=_scaled)),
    recipe=dict(model=dict(neck=dict(**_recipe, **_to_input))),
    recipe_scaled=dict(model=dict(neck=dict(**_recipe, standardize=dict(scale='unit_variance')))),
    smooth=dict(model=dict(neck=_smooth)),
    smooth_scaled=dict(model=dict(neck=dict(type='NeckSequence', necks=[_scaled, _smooth]))),
    sola=dict(
        model=dict(
            neck=dict(
                type='SoLa',
                **_shape,
                init_cfg=dict(type='Pretrained', checkpoint='{published}'),
            )
        )
    ),
    scratch=dict(model=dict(neck=dict(type='SoLa', **_shape, frozen=False, **_to_input))),
    beside=dict(
        model=dict(
            feat_dim='{both}',
            neck=dict(type='PlainBeside', neck=dict(**_recipe, **_to_input)),
        )
    ),
    boundaries=dict(model=dict(neck_feeds='boundaries', neck=dict(**_recipe, **_to_input))),
)
baseline = 'plain'
main_arms = ['scaled', 'recipe_scaled']
controls = dict(recipe_scaled=['scaled'], recipe=['smooth'], smooth_scaled=['scaled'])
seeds = [0, 1, 2, 3, 4]
_others = ['recipe', 'smooth_scaled', 'smooth', 'beside', 'boundaries', 'scratch', 'sola']
few_seeds = dict.fromkeys(_others, 3)
_three = ['plain', 'scaled', 'recipe_scaled']

_isl = dict(channels=1024, hidden=512, pretrained='{recipe_isl}')
_charades = dict(channels=512, hidden=512, pretrained='{recipe_charades}')
_captaincook = dict(
    channels=768,
    both=1536,
    hidden=512,
    published='{sola_captaincook}',
    pretrained='{recipe_captaincook}',
)
_world = dict(channels=64, hidden=64, pretrained='{recipe_world}')
_detections = ['loc/mAP', 'loc/AR@10', 'loc/AR@50']
_proposals = ['loc/AUC', 'loc/AR@10', 'loc/class_agnostic_AP']
_shorter = dict(
    train_dataloader=dict(batch_size=8),
    train_cfg=dict(max_epochs=9, val_interval=3),
    param_scheduler=[
        dict(type='LinearLR', start_factor=1e-8, begin=0, end=2, convert_to_iter_based=True),
        dict(type='CosineAnnealingLR', eta_min=1e-8, begin=2, end=9, convert_to_iter_based=True),
    ],
)

rows = [
    dict(
        set='captaincook_pe_4s',
        localizer='ActionFormer',
        config='mmsola::actionformer/actionformer_captaincook_pe_4s.py',
        values=_captaincook,
        figures=_detections,
        shares=[1.0, 0.1],
        few_shares=dict.fromkeys(_others, [1.0]),
    ),
    dict(
        set='isl_i3d',
        localizer='ActionFormer',
        config='mmsola::actionformer/actionformer_isl_i3d.py',
        values=_isl,
        figures=_detections,
        shares=[0.25],
        arms=_three,
        seeds=[0, 1, 2],
    ),
    dict(
        set='isl_i3d',
        localizer='BMN',
        config='mmsola::bmn/bmn_isl_i3d.py',
        options=dict(train_cfg=dict(val_interval=3)),
        values=_isl,
        arms=_three,
        figures=_proposals,
        seeds=[0, 1, 2],
    ),
    dict(
        set='isl_i3d',
        localizer='GTAD',
        config='mmsola::gtad/gtad_isl_i3d.py',
        options=dict(train_cfg=dict(val_interval=2)),
        values=_isl,
        arms=_three,
        figures=_proposals,
        seeds=[0, 1, 2],
    ),
    dict(
        set='charades_clip',
        localizer='ActionFormer',
        config='mmsola::actionformer/actionformer_charades_clip.py',
        options=_shorter,
        values=_charades,
        figures=_detections,
        arms=_three,
        seeds=[0, 1, 2],
    ),
    dict(
        set='video_world',
        localizer='BMN',
        config='mmsola::bmn/bmn_video_world.py',
        options=dict(train_cfg=dict(val_interval=5)),
        values=_world,
        arms=_three,
        figures=_proposals,
        seeds=[0, 1, 2],
    ),
]
