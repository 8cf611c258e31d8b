"""Configs of localizers that are small enough for a test, without a neck."""

CHANNELS, LENGTH = 12, 16
BMN = dict(
    type='BMN',
    temporal_dim=LENGTH,
    boundary_ratio=0.5,
    num_samples=8,
    num_samples_per_bin=3,
    feat_dim=CHANNELS,
    soft_nms_alpha=0.4,
    soft_nms_low_threshold=0.5,
    soft_nms_high_threshold=0.9,
    post_process_top_k=100,
    hidden_dim_1d=16,
    hidden_dim_2d=8,
    hidden_dim_3d=16,
)
TEM = dict(
    type='TEM',
    temporal_dim=LENGTH,
    boundary_ratio=0.1,
    tem_feat_dim=CHANNELS,
    tem_hidden_dim=8,
    tem_match_threshold=0.5,
)
TCANET = dict(
    type='TCANet', feat_dim=CHANNELS, temporal_dim=LENGTH, se_sample_num=8, action_sample_num=16
)
GTAD = dict(
    type='GTAD',
    feat_dim=CHANNELS,
    temporal_dim=LENGTH,
    max_duration=12,
    hidden_dim_1d=16,
    hidden_dim_2d=8,
    hidden_dim_3d=16,
    graph_dim=8,
    graph_groups=4,
    num_inner=4,
    num_context=4,
    post_process_top_k=100,
)
# On 32 to 48 grid points, without padding to the longest.
_ONE_STAGE = dict(
    feat_dim=CHANNELS,
    num_classes=2,
    channels=16,
    num_levels=3,
    max_snippets=32,
    pad_to_max=False,
    test_cfg=dict(score_threshold=0.0, top_k=20),
)
ACTIONFORMER = dict(
    type='ActionFormer',
    backbone=dict(num_heads=2, num_stem=1, window=5, drop_path=0.1),
    **_ONE_STAGE,
)
TEMPORALMAXER = dict(type='TemporalMaxer', **_ONE_STAGE)
TRIDET = dict(
    type='TriDet',
    backbone=dict(num_stem=1, window=3, mlp_channels=24, init_std=0.2),
    head=dict(num_bins=4),
    **_ONE_STAGE,
)
