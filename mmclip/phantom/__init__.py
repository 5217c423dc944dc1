"""The embedded data: simulated chest radiographs, their reports, and a phrase book in 21 languages."""
