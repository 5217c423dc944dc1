"""The page that finds images by a sentence."""
