"""What this machine has: GPU, processor, memory, login sessions; and process-wide settings."""
