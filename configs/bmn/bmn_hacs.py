# BMN on HACS Segments, I3D features at their native rate.
_base_ = ['../_base_/bmn.py', '../_base_/datasets/hacs_i3d.py']

work_dir = 'work_dirs/bmn_hacs'
model = dict(feat_dim=2048)

train_dataloader = dict(num_workers=8, dataset=_base_.training)
val_dataloader = dict(num_workers=8, dataset=_base_.validation)
test_dataloader = val_dataloader
val_evaluator = _base_.official
# tcanet_hacs.py refines them
test_evaluator = dict(**_base_.official, out_file=f'{work_dir}/proposals_validation.json')
