"""From the predictions table to metrics with intervals; nothing here needs a model."""
