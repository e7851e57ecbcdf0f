"""Data: sets to begin with, loaders of one's own, arrays on disk, bits drawn from grey values.

Floor 3.
"""

from keras_vae.data.audio import AudioSchema, from_audio
from keras_vae.data.column_decisions import decide_columns
from keras_vae.data.column_schema import Column
from keras_vae.data.counts import CountSchema, from_counts
from keras_vae.data.drawing import binarize, dequantize, dynamic_binarization
from keras_vae.data.images import ImageSchema, from_images
from keras_vae.data.rows import TableSchema, from_table
from keras_vae.data.schema import Read, Schema
from keras_vae.data.series import SeriesSchema, from_series
from keras_vae.data.series_windows import row_scores
from keras_vae.data.sets import LabelledImages, load_digits, load_mnist
from keras_vae.data.source import Source
from keras_vae.data.sparse import SparseRows
from keras_vae.data.streaming import stream
from keras_vae.data.text import TextSchema, from_text

__all__ = [
    "AudioSchema",
    "Column",
    "CountSchema",
    "ImageSchema",
    "LabelledImages",
    "Read",
    "Schema",
    "SeriesSchema",
    "Source",
    "SparseRows",
    "TableSchema",
    "TextSchema",
    "binarize",
    "decide_columns",
    "dequantize",
    "dynamic_binarization",
    "from_audio",
    "from_counts",
    "from_images",
    "from_series",
    "from_table",
    "from_text",
    "load_digits",
    "load_mnist",
    "row_scores",
    "stream",
]
