# SoLa under Similarity Matching, the published recipe (HACS, I3D features).
model = dict(
    type='SoLaPretrainer',
    neck=dict(
        type='SoLa',
        in_channels=2048,
        hidden_channels=512,
        kernel_sizes=(5, 1),
        # dilations=(1, 1), or reach_sec=... instead
    ),
    head=dict(
        type='SimilarityMatchingHead',
        in_channels=2048,
        predictor=dict(type='MLPPredictor'),  # 512 channels inside
        num_projection_layers=0,
        loss=dict(type='SimilarityMatchingLoss', coef=16),
    ),
    # of each window of 23 snippets, positions 4, 6, ..., 18 are compared: start=4, step=2, which
    # are not written here, so that a config may set step_sec=... instead
    num_gathered=8,
)
