# BMN on ActivityNet-1.3, CUHK's TSN features: MMAction2's config, and a metric that knows mAP.
_base_ = 'mmaction::localization/bmn/bmn_2xb8-400x100-9e_activitynet-feature.py'

custom_imports = dict(imports=['mmsola'], allow_failed_imports=False)

work_dir = 'work_dirs/bmn_anet'
test_evaluator = dict(
    _delete_=True,
    type='LocalizationMetric',
    ann_file=_base_.test_dataloader.dataset.ann_file,
    strip_prefix='v_',
    out_file=f'{work_dir}/proposals.json',
)
val_evaluator = test_evaluator
