"""The experiments, one per file; the docstring of the file is the lab note."""
