"""The parts that `python -m examples.benchmark` measures, one per file."""
