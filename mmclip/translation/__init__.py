"""The stage that translates sentences."""
