"""Folds fitted and scored: metrics, curves, intervals, tests. Nothing is drawn or logged here."""
