"""Scores in, truth out: metrics, baselines, comparison, report."""
