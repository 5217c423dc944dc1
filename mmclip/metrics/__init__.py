"""Shared: metrics and the patient bootstrap."""
