"""The stage that evaluates a model."""
