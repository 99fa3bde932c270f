"""Is this machine ready? One file a subject, one small function a check."""
