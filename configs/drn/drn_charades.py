# DRN on Charades-STA, C3D features: MMAction2's first stage. DRN is not in the wheel of MMAction2
# 1.2.0; install that from source, with torchvision and nltk.
#
# The other two stages are this config with other settings, each from the best checkpoint before:
#
# mmsola train mmsola::drn/drn_charades.py --work-dir work_dirs/drn_charades_second \
#     --cfg-options load_from=CHECKPOINT model.is_first_stage=False model.is_second_stage=True \
#     optim_wrapper.optimizer.lr=1e-5 param_scheduler=None
# mmsola train mmsola::drn/drn_charades.py --work-dir work_dirs/drn_charades_third \
#     --cfg-options load_from=CHECKPOINT model.is_first_stage=False \
#     optim_wrapper.optimizer.lr=1e-6 param_scheduler=None
_base_ = 'mmaction::localization/drn/drn_2xb16-4096-10e_c3d-feature_first.py'

custom_imports = dict(imports=['mmsola'], allow_failed_imports=False)
