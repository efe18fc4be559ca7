"""Distributions on disk: a description beside a TensorFlow checkpoint, and SavedModels for serving."""
