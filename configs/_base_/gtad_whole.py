# G-TAD on whole videos resized to 100 snippets, any stretch of which may be a proposal: the
# authors' settings for ActivityNet and HACS.
_base_ = 'gtad.py'

model = dict(
    temporal_dim=100,
    max_duration=100,
    num_inner=32,
    num_context=4,
    kernel_size_2d=1,
    regression_weight=10.0,
    classification_weight=1.0,
    likely_boundaries=True,
    soft_nms_alpha=0.8,
    post_process_top_k=100,
)
optim_wrapper = dict(optimizer=dict(lr=4e-3))
