"""Tables of pandas as arrays and back: what the columns are, and their likelihoods.

Floor 3. pandas is imported when frames are made: `pip install keras-vae[tables]`.
"""

from keras_vae.data.table_columns import KINDS, Table

__all__ = ["KINDS", "Table"]
