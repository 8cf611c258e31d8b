from mmsola.models.losses.focal_loss import SnippetFocalLoss
from mmsola.models.losses.offset_diou_loss import OffsetDIoULoss
from mmsola.models.losses.similarity_matching_loss import SimilarityMatchingLoss

__all__ = ['OffsetDIoULoss', 'SimilarityMatchingLoss', 'SnippetFocalLoss']
