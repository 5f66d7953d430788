"""Metrics: from features of real and generated images to numbers. Never sees a generator.

`extractor` says what a feature extractor is; `classifier` is the one trained on the user's own data.
The standard Inception network will stand beside it. One small file a metric.
"""
