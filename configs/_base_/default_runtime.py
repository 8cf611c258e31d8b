# Everything a run needs that is not data, model or schedule.
custom_imports = dict(imports=['mmsola'], allow_failed_imports=False)
default_scope = 'mmaction'

default_hooks = dict(
    # MMEngine's RuntimeInfoHook, which would wait for a GPU at every step
    runtime_info=dict(type='DeferredScalarsHook'),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=20, ignore_last=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # atomic: a kill while one is written leaves the one before it whole
    checkpoint=dict(
        type='CheckpointHook', interval=1, max_keep_ckpts=3, backend_args=dict(backend='atomic')
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
)

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)

log_processor = dict(type='LogProcessor', window_size=20, by_epoch=True)
vis_backends = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
visualizer = dict(type='ActionVisualizer', vis_backends=vis_backends)

randomness = dict(seed=0)
log_level = 'INFO'
# True: figures, warnings and some progress on the console; False: all that the log file has
quiet_console = True
# CPU threads that a run computes with: another number rounds otherwise, and figures differ slightly
num_threads = 1
load_from = None
resume = False
