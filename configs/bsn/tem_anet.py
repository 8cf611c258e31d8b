# BSN's first network on ActivityNet-1.3, CUHK's TSN features. The whole chain: docs/bsn.md.
_base_ = 'mmaction::localization/bsn/bsn_tem_1xb16-400x100-20e_activitynet-feature.py'

custom_imports = dict(imports=['mmsola'], allow_failed_imports=False)

# one folder a step: in MMAction2's single one, a chain with SoLa would overwrite one without
work_dir = 'work_dirs/tem_anet'
tem_results_dir = f'{work_dir}/results'
# testing takes anet_anno_full.json: the next steps need the training videos as well
test_evaluator = dict(dump_config=dict(out=tem_results_dir))
val_evaluator = test_evaluator
