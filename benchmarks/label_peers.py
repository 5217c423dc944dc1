"""Simple labelers to hold against: a regular expression, negspacy and medspaCy, on reports read from standard input.

    pip install negspacy medspacy==1.3.1 "numpy<2"   # in an environment of their own
    python benchmarks/labels.py --peers <that environment's python>

Reads a JSON list of texts; writes JSON: name of the labeler -> reports a second of CPU time, and for each text the
observations that it finds present. All share one list of terms, our own. What is not installed is left out. Neither
negspacy nor the expression has an uncertain state; of medspaCy's, only what is certain counts.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterable

TERMS: dict[str, tuple[str, ...]] = {
    "Atelectasis": ("atelectasis", "atelectases", "atelectatic", "collapse"),
    "Cardiomegaly": (
        "cardiomegaly",
        "enlarged heart",
        "cardiac enlargement",
        "heart is enlarged",
        "enlarged cardiac silhouette",
    ),
    "Consolidation": ("consolidation", "consolidations", "consolidative"),
    "Edema": ("edema", "vascular congestion", "congestive heart failure", "chf"),
    "Pleural Effusion": ("effusion", "effusions", "pleural fluid"),
    "Pneumonia": ("pneumonia", "infection", "infectious process"),
    "Pneumothorax": ("pneumothorax", "pneumothoraces"),
    "Lung Lesion": ("nodule", "nodules", "mass", "masses", "tumor", "neoplasm"),
}
"""Observation -> the words that name it."""

NEGATIONS = r"\b(no|without|not|negative for|free of|clear of|absence of|resolution of|resolved|rule out)\b"

Found = list[set[str]]
Labeler = Callable[[str], set[str]]


def expression() -> Labeler:
    """A term is present unless a negation stands before it in the same sentence."""
    patterns = {name: re.compile("|".join(rf"\b{term}\b" for term in terms)) for name, terms in TERMS.items()}
    negation = re.compile(NEGATIONS)

    def label(text: str) -> set[str]:
        found: set[str] = set()
        for sentence in re.split(r"[.;\n]\s*", text.lower()):
            for name, pattern in patterns.items():
                if any(not negation.search(sentence[: match.start()]) for match in pattern.finditer(sentence)):
                    found.add(name)
        return found

    return label


def _patterns() -> Iterable[tuple[str, str]]:
    return ((name, term) for name, terms in TERMS.items() for term in terms)


def negspacy() -> Labeler:
    """negspacy with its clinical terms, and "clear of" and "resolved" added."""
    import spacy
    from negspacy.negation import Negex  # noqa: F401  (registers the component)
    from negspacy.termsets import termset

    pipeline = spacy.blank("en")
    pipeline.add_pipe("sentencizer")
    ruler = pipeline.add_pipe("entity_ruler", config={"phrase_matcher_attr": "LOWER"})
    ruler.add_patterns([{"label": name, "pattern": term} for name, term in _patterns()])
    terms = termset("en_clinical")
    terms.add_patterns({"preceding_negations": ["clear of"], "following_negations": ["resolved"]})
    pipeline.add_pipe("negex", config={"neg_termset": terms.get_patterns()})
    return lambda text: {entity.label_ for entity in pipeline(text).ents if not entity._.negex}


def medspacy() -> Labeler:
    """medspaCy's context with its own rules; historical and hypothetical mentions do not count."""
    import medspacy as library
    from loguru import logger
    from medspacy.ner import TargetRule

    logger.remove()  # one line for every token is most of its time
    pipeline = library.load(medspacy_enable=["medspacy_pyrush", "medspacy_target_matcher", "medspacy_context"])
    pipeline.get_pipe("medspacy_target_matcher").add([TargetRule(term, name) for name, term in _patterns()])

    def label(text: str) -> set[str]:
        doubts = ("is_negated", "is_uncertain", "is_historical", "is_hypothetical", "is_family")
        entities = pipeline(text).ents
        return {entity.label_ for entity in entities if not any(getattr(entity._, doubt) for doubt in doubts)}

    return label


def main() -> None:
    """Label what comes in with every labeler that is installed."""
    texts: list[str] = json.load(sys.stdin)
    results = {}
    for name, build in {"regex": expression, "negspacy": negspacy, "medspacy": medspacy}.items():
        try:
            label = build()
        except ImportError as error:
            print(f"{name}: not installed ({error})", file=sys.stderr)
            continue
        label("No pneumothorax.")
        start = time.process_time()
        found: Found = [label(text) for text in texts]
        speed = len(texts) / (time.process_time() - start)
        results[name] = {"reports_per_second": speed, "present": [sorted(names) for names in found]}
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
