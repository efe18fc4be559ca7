"""The figures of the paper and of its web page."""
