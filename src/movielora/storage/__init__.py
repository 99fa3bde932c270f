"""Files and folders that are complete or absent, locks, process identity."""
