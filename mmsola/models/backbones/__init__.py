"""Parts of one-stage localizers before their heads: embedding and pyramid."""

from mmsola.models.backbones.conv_pyramid import ConvPyramid
from mmsola.models.backbones.local_transformer import LocalTransformer
from mmsola.models.backbones.max_pool_pyramid import MaxPoolPyramid
from mmsola.models.backbones.pyramid_backbone import PyramidBackbone
from mmsola.models.backbones.sgp_pyramid import SGPPyramid
from mmsola.models.backbones.snippet_embedding import SnippetEmbedding

__all__ = [
    'ConvPyramid',
    'LocalTransformer',
    'MaxPoolPyramid',
    'PyramidBackbone',
    'SGPPyramid',
    'SnippetEmbedding',
]
