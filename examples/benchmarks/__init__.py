"""What `python -m examples.benchmark` measures, one part a file."""
