from mmsola.models.encoders.recognizer_features import EncoderError, RecognizerFeatures
from mmsola.models.encoders.snippet_encoder import SnippetEncoder

__all__ = ['EncoderError', 'RecognizerFeatures', 'SnippetEncoder']
