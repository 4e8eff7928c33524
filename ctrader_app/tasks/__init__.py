"""Celery shells of a few lines: ids in, one use-case called, verdict out; and the way onto the queue."""
