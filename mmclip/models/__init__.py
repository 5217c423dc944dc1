"""Shared: image encoder, text encoder, projections, the dual encoder, saving and loading."""
