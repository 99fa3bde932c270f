"""Which run is meant: by name or folder, here or elsewhere, and what its recorded config means."""
