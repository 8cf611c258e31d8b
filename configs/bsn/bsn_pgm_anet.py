# BSN's proposals and their features, from what tem_anet.py dumped. The whole chain: docs/bsn.md.
_base_ = 'mmaction::localization/bsn/bsn_pgm_400x100_activitynet-feature.py'

work_dir = 'work_dirs/bsn_pgm_anet'
tem_results_dir = 'work_dirs/tem_anet/results'
pgm_proposals_dir = f'{work_dir}/proposals'
pgm_features_dir = f'{work_dir}/features'
