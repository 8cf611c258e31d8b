# ActionFormer on cooking recordings, one snippet in four seconds: a third of the time that one in a
# second takes.
_base_ = ['../_base_/one_stage_small.py', '../_base_/datasets/captaincook_pe_4s.py']

model = dict(
    feat_dim=768,
    num_classes=117,
    channels=128,
    num_levels=5,
    max_snippets=192,
    # with 0, some necks and seeds never learned one of the two ends
    head=dict(first_offset=1.0),
)
# thirteen minutes of a longer recording; whole ones are predicted
pieces = [
    _base_.training_pipeline[0],
    dict(type='TruncateSnippets', max_snippets=192),
    *_base_.training_pipeline[2:],
]
train_dataloader = dict(batch_size=4, dataset=dict(**_base_.training, pipeline=pieces))
val_dataloader = dict(dataset=_base_.validation)
test_dataloader = val_dataloader
val_evaluator = _base_.official
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=20, val_interval=5)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-8, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-8, begin=5, end=20, convert_to_iter_based=True),
]
custom_hooks = [dict(type='EMAHook', momentum=0.02)]
