"""Foreign records: one file a form, listed in `records.FORMS`."""
