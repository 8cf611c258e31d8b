# BMN on Indian Sign Language sentences, I3D features. Half of BMN's 2-D and 3-D widths are plenty
# for 102 videos and take a third of the time.
_base_ = ['../_base_/bmn.py', '../_base_/datasets/isl_i3d.py']

model = dict(feat_dim=1024, temporal_dim=64, hidden_dim_2d=64, hidden_dim_3d=256)

train_dataloader = dict(
    batch_size=8, num_workers=0, persistent_workers=False, dataset=_base_.training
)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=_base_.validation)
test_dataloader = val_dataloader
val_evaluator = _base_.official
test_evaluator = val_evaluator
