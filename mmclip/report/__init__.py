"""The stage that writes the report."""
