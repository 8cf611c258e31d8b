# G-TAD on cooking recordings of about 12 minutes, resized to 128 snippets, proposals of up to half
# of them; steps of any name.
_base_ = ['../_base_/gtad_whole.py', '../_base_/datasets/captaincook_pe.py']

model = dict(
    feat_dim=768,
    temporal_dim=128,
    max_duration=64,
    hidden_dim_1d=128,
    hidden_dim_2d=64,
    hidden_dim_3d=256,
    graph_dim=64,
    graph_groups=16,
)

train_dataloader = dict(
    batch_size=8, num_workers=0, persistent_workers=False, dataset=_base_.training
)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=_base_.validation)
test_dataloader = val_dataloader
val_evaluator = dict(**_base_.official, class_agnostic=True)
test_evaluator = val_evaluator
optim_wrapper = dict(optimizer=dict(lr=1e-3))
