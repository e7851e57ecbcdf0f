"""All that can be measured of a model, in one call.

Floor 5.
"""

from keras_vae.evaluation.reporting.contents import Likelihood, Report, Samples
from keras_vae.evaluation.reporting.measuring import report
from keras_vae.evaluation.reporting.rows import Measure

__all__ = ["Likelihood", "Measure", "Report", "Samples", "report"]
