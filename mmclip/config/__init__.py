"""Settings of every stage, checked by pydantic."""
