from mmsola.models.encoders.snippet_encoder import EncoderError, SnippetEncoder

__all__ = ['EncoderError', 'SnippetEncoder']
