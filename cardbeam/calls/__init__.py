"""The calls of one worker process."""
