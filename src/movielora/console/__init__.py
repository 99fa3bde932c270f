"""Everything that draws: tables, progress, one-line errors, JSON on stdout."""
