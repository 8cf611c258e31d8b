from mmsola.models.losses.similarity_matching_loss import SimilarityMatchingLoss

__all__ = ['SimilarityMatchingLoss']
