"""The stage that reads observations from reports and settles uncertain labels."""
