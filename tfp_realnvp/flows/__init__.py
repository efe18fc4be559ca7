"""Whole flows, composed from the bijectors and the networks."""
