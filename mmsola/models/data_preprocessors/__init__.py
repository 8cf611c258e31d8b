from mmsola.models.data_preprocessors.snippet_data_preprocessor import SnippetDataPreprocessor

__all__ = ['SnippetDataPreprocessor']
