"""Programs that reproduce the paper with `tfp_realnvp`."""
