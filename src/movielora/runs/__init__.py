"""One run is one folder: paths, record, heartbeat, process, status. No torch here."""
