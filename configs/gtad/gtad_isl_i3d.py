# G-TAD on Indian Sign Language sentences, I3D features, resized to 64 snippets. Half of its widths
# on proposals are plenty for 102 videos.
_base_ = ['../_base_/gtad_whole.py', '../_base_/datasets/isl_i3d.py']

model = dict(feat_dim=1024, temporal_dim=64, max_duration=64, hidden_dim_2d=64, hidden_dim_3d=256)

train_dataloader = dict(
    batch_size=8, num_workers=0, persistent_workers=False, dataset=_base_.training
)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=_base_.validation)
test_dataloader = val_dataloader
val_evaluator = _base_.official
test_evaluator = val_evaluator
optim_wrapper = dict(optimizer=dict(lr=1e-3))
