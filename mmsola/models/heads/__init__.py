from mmsola.models.heads.similarity_matching_head import SimilarityMatchingHead

__all__ = ['SimilarityMatchingHead']
