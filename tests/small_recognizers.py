"""Recognizers of MMAction2, small enough to build and run in a test."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

NORMALISE = dict(
    type='ActionDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
)
RESNET3D = dict(
    type='ResNet3d',
    depth=18,
    pretrained=None,
    base_channels=4,
    conv1_stride_t=1,
    pool1_stride_t=1,
    norm_eval=False,
    zero_init_residual=False,
)
BACKBONES = {
    'I3D': ('NCTHW', RESNET3D, 32),
    'SlowOnly': (
        'NCTHW',
        dict(
            type='ResNet3dSlowOnly',
            depth=18,
            pretrained=None,
            base_channels=4,
            lateral=False,
            inflate=(0, 0, 1, 1),
        ),
        32,
    ),
    'SlowFast': (
        'NCTHW',
        dict(
            type='ResNet3dSlowFast',
            pretrained=None,
            resample_rate=4,
            speed_ratio=4,
            channel_ratio=2,
            slow_pathway=dict(
                type='resnet3d',
                depth=18,
                pretrained=None,
                lateral=True,
                base_channels=4,
                fusion_kernel=3,
                channel_ratio=2,
                conv1_kernel=(1, 7, 7),
                conv1_stride_t=1,
                pool1_stride_t=1,
                inflate=(0, 0, 1, 1),
            ),
            fast_pathway=dict(
                type='resnet3d',
                depth=18,
                pretrained=None,
                lateral=False,
                base_channels=2,
                conv1_kernel=(5, 7, 7),
                conv1_stride_t=1,
                pool1_stride_t=1,
            ),
        ),
        48,
    ),
    'Swin': (
        'NCTHW',
        dict(
            type='SwinTransformer3D',
            arch=dict(embed_dims=8, depths=[1, 1], num_heads=[1, 2]),
            patch_size=(2, 4, 4),
            window_size=(2, 4, 4),
            patch_norm=True,
            out_indices=(1,),
        ),
        16,
    ),
    'TSN': ('NCHW', dict(type='MobileNetV2', widen_factor=0.25), 1280),
    'TSM': ('NCHW', dict(type='MobileNetV2TSM', num_segments=8, widen_factor=0.25), 1280),
}


def recognizer(name: str = 'I3D') -> Config:
    """A whole config of a small recognizer, as far as an encoder looks at it."""
    format_shape, backbone, channels = BACKBONES[name]
    is_2d = format_shape == 'NCHW'
    frames = dict(clip_len=1, num_clips=8) if is_2d else dict(clip_len=8, frame_interval=2)
    pipeline = [
        dict(type='DecordInit'),
        dict(type='SampleFrames', test_mode=True, **{'num_clips': 1, **frames}),
        dict(type='DecordDecode'),
        dict(type='Resize', scale=(-1, 40)),
        dict(type='CenterCrop', crop_size=32),
        dict(type='FormatShape', input_format=format_shape),
        dict(type='PackActionInputs'),
    ]
    head = dict(type='I3DHead', in_channels=channels, num_classes=3, average_clips='prob')
    if is_2d:
        head = dict(
            type='TSNHead' if name == 'TSN' else 'TSMHead',
            in_channels=channels,
            num_classes=3,
            average_clips='prob',
            **({} if name == 'TSN' else dict(num_segments=8)),
        )
    return Config(
        dict(
            model=dict(
                type='Recognizer2D' if is_2d else 'Recognizer3D',
                backbone=copy.deepcopy(backbone),
                cls_head=head,
                data_preprocessor=dict(**NORMALISE, format_shape=format_shape),
            ),
            val_dataloader=dict(dataset=dict(type='VideoDataset', pipeline=pipeline)),
        )
    )


def weights(cfg: Config, path: Path) -> Path:
    """A checkpoint of random weights."""
    init_default_scope('mmaction')
    torch.manual_seed(0)
    model = MODELS.build(copy.deepcopy(cfg.model))
    torch.save({'state_dict': model.state_dict()}, path)
    return path
