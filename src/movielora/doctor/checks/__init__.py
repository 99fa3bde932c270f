"""One file a subject, one function a check."""
