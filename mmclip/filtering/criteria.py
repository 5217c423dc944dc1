"""What judges mark, people and models alike."""

from __future__ import annotations

CRITERIA: dict[str, str] = {
    "accuracy": "The translation says what the source says, no more and no less: findings, sides, numbers, negations.",
    "fluency": "It reads like a radiologist's sentence in this language.",
    "consistency": "It fits the sentences before and after it: same terms, same findings.",
}
"""What is judged, each from 1 (bad) to 5 (good): the three criteria that 3M-CLIP names, in our words."""
