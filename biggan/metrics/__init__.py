"""Metrics: from features of real and generated images to numbers. Never sees a generator.

`extractor` says what turns images into features; `inception` is the field's standard, `classifier` one trained on
the user's own data. One small file a metric. The formulas work in float64 and have oracles in the tests.
"""
