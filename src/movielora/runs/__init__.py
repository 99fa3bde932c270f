"""One run, one folder, one record: paths, lock, heartbeat, checkpoints, status, stop. Knows nothing of models."""
