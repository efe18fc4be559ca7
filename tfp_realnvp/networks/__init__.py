"""Conditioners: the networks that compute a coupling's shift and log-scale."""
