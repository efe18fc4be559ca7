"""No test has a limit of time that a slow machine would reach: limits are there for tests that hang."""

HANG_SECONDS = 1800
