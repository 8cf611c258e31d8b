# The same from what sola_tem_anet.py dumped.
_base_ = 'bsn_pgm_anet.py'

work_dir = 'work_dirs/sola_bsn_pgm_anet'
tem_results_dir = 'work_dirs/sola_tem_anet/results'
pgm_proposals_dir = f'{work_dir}/proposals'
pgm_features_dir = f'{work_dir}/features'
