"""One analysis of English, Chinese (simplified and traditional) and mixed text, for all that reads or searches text.

Offsets are Python string indices (code points), ``[start, end)``, exact in every script.
"""

from dougong_analyzer.graphemes import graphemes, snap
from dougong_analyzer.indexing import TERMS_VERSION, stopwords, terms
from dougong_analyzer.scripts import language, simplified
from dougong_analyzer.segmentation import words
from dougong_analyzer.sentences import sentences

__all__ = ["TERMS_VERSION", "graphemes", "language", "sentences", "simplified", "snap", "stopwords", "terms", "words"]
