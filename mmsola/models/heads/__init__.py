from mmsola.models.heads.point_head import PointHead
from mmsola.models.heads.similarity_matching_head import SimilarityMatchingHead
from mmsola.models.heads.trident_head import TridentHead

__all__ = ['PointHead', 'SimilarityMatchingHead', 'TridentHead']
