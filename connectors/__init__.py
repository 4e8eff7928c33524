"""One trading vocabulary for every platform: callers know this package, platforms register with it."""
