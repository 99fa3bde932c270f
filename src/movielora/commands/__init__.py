"""One file a command: options in, one recipe called, one view printed."""
