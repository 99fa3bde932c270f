"""Measure answers: features of the rows, metrics, baselines, comparisons, the report page."""
