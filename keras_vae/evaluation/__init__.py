"""Measures of trained models."""

from keras_vae.evaluation.generation import TwoSampleTest, median_distance, two_sample_test
from keras_vae.evaluation.latents import active_units

__all__ = ["TwoSampleTest", "active_units", "median_distance", "two_sample_test"]
