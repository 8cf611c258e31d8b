from mmsola.models.heads.mlp_predictor import MLPPredictor
from mmsola.models.heads.point_head import PointHead
from mmsola.models.heads.similarity_matching_head import SimilarityMatchingHead
from mmsola.models.heads.trident_head import TridentHead

__all__ = ['MLPPredictor', 'PointHead', 'SimilarityMatchingHead', 'TridentHead']
