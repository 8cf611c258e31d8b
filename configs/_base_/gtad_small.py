# G-TAD for features as narrow as those of generated data, small enough for a CPU.
_base_ = 'gtad_whole.py'

model = dict(
    feat_dim=64,
    temporal_dim=64,
    max_duration=64,
    hidden_dim_1d=64,
    hidden_dim_2d=32,
    hidden_dim_3d=64,
    graph_dim=32,
    graph_groups=8,
)
train_dataloader = dict(batch_size=8, num_workers=0, persistent_workers=False)
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader
