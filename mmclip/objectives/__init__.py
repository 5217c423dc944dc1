"""Training objectives, one a file; :mod:`mmclip.objectives.registry` finds them by name."""
