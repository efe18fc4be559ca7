"""The bijectors of an image flow, and the masks of its couplings."""
