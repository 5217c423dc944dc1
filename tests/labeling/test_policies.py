"""Policies for uncertain labels: the numbers that they give, and what they leave alone."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmclip.config.base import parse
from mmclip.config.labeling import DEFAULT_POLICIES, DisambiguateSettings
from mmclip.data.targets import combine_vectors
from mmclip.errors import UserError
from mmclip.labeling.extractor import label_sentence
from mmclip.labeling.policies import NOT_MENTIONED, Floats, States, describe, one_hot, settle
from mmclip.observations import (
    COLUMNS,
    FIVE,
    NO_FINDING,
    OBSERVATIONS,
    State,
    aggregate,
    sentence_no_finding,
)

_ALL = ("U-Ignore", "U-Zeros", "U-Ones", "U-SelfTrained", "U-MultiClass")
_NONE = np.full((1, 14), np.nan, np.float32)
_AT = {name: number for number, name in enumerate(OBSERVATIONS)}


def coded(rows: list[dict[str, State]], names: tuple[str, ...] = OBSERVATIONS) -> States:
    """States as the policies take them."""
    values = [[NOT_MENTIONED if row.get(name) is None else row[name] for name in names] for row in rows]
    return np.array(values, np.int8).reshape(-1, 14)


def states(**named: State) -> States:
    return coded([named], COLUMNS)


def vectors(given: States, predictions: Floats, chosen: DisambiguateSettings, draw: float = 0.5) -> Floats:
    """What both sides make of the states, as they have the same policies here."""
    treatments = chosen.treatments("text")
    settled = settle(given, predictions, treatments, np.full(given.shape, draw))
    return one_hot(given, settled, treatments) if chosen.one_hot else settled


def vector(policy: str, prediction: float = np.nan, draw: float = 0.5, **settings_: Any) -> float:
    predictions = np.full((1, 14), prediction, np.float32)
    chosen = parse(DisambiguateSettings, {"policies": {"Edema": policy}, **settings_})
    return float(vectors(states(edema=-1), predictions, chosen, draw)[0, _AT["Edema"]])


@pytest.mark.parametrize(
    ("policy", "prediction", "expected"),
    [
        ("U-Ignore", 0.7, 0),
        ("U-Zeros", 0.7, 0),
        ("U-Ones", 0.7, 1),
        ("U-SelfTrained", 0.75, 0.75),
        ("U-MultiClass", 0.25, 0.25),
        ("U-SelfTrained", np.nan, 0),
        ("U-MultiClass", np.nan, 0),
    ],
)
def test_known_answers(policy: str, prediction: float, expected: float) -> None:
    assert vector(policy, prediction) == expected


def test_the_fallback_can_be_chosen() -> None:
    assert vector("U-SelfTrained", fallback={"Edema": "U-Ones"}) == 1


@pytest.mark.parametrize(
    ("policy", "range_", "draw", "expected"),
    [
        ("U-Ones", [0.55, 0.85], 0.0, 0.55),
        ("U-Ones", [0.55, 0.85], 0.5, 0.7),
        ("U-Zeros", [0.0, 0.3], 0.5, 0.15),
        ("U-Zeros", [0.0, 0.3], 1.0, 0.3),
    ],
)
def test_smoothing_draws_from_the_range(policy: str, range_: list[float], draw: float, expected: float) -> None:
    assert vector(policy, 0.9, draw, smoothing={"Edema": range_}) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("policy", "prediction", "expected"),
    [
        ("U-Zeros", 0.75, (0, 1, 0)),
        ("U-Ones", 0.75, (1, 0, 0)),
        ("U-SelfTrained", 0.75, (0.75, 0.25, 0)),
        ("U-SelfTrained", np.nan, (0, 1, 0)),
        ("U-MultiClass", 0.75, (0, 0, 1)),
        ("U-MultiClass", np.nan, (0, 0, 1)),
    ],
)
def test_one_hot_slots(policy: str, prediction: float, expected: tuple[float, float, float]) -> None:
    chosen = parse(DisambiguateSettings, {"policies": {"Edema": policy}, "one_hot": True})
    given = states(edema=-1, fracture=1, consolidation=0)
    (got,) = vectors(given, np.full((1, 14), prediction, np.float32), chosen)
    slots = got.reshape(3, 14)
    assert slots[:, _AT["Edema"]].tolist() == list(expected)
    assert slots[:, _AT["Fracture"]].tolist() == [1, 0, 0] and slots[:, _AT["Consolidation"]].tolist() == [0, 1, 0]
    others = [k for name, k in _AT.items() if name not in ("Edema", "Fracture", "Consolidation")]
    assert not slots[:, others].any()


def test_only_uncertain_entries_are_replaced() -> None:
    given = states(edema=1, consolidation=0, cardiomegaly=-1)
    predictions = np.full((1, 14), 0.5, np.float32)
    expected = np.zeros((1, 14), np.float32)
    expected[0, _AT["Edema"]] = 1
    expected[0, _AT["Cardiomegaly"]] = 0.5
    assert np.array_equal(vectors(given, predictions, DisambiguateSettings()), expected)


def test_how_it_was_settled_is_written_down() -> None:
    given = np.concatenate([states(edema=-1, consolidation=-1), states(cardiomegaly=-1), states(edema=1)])
    predictions = np.concatenate([_NONE, np.full((2, 14), 0.5, np.float32)])
    chosen = DisambiguateSettings()
    assert describe(given, predictions, chosen.treatments("text")) == [
        "Edema: U-Ones; Consolidation: U-SelfTrained, U-Zeros",
        "Cardiomegaly: U-MultiClass",
        "",
    ]
    smooth = parse(DisambiguateSettings, {"smoothing": {"Edema": [0.55, 0.85]}, "one_hot": True})
    assert describe(given, _NONE.repeat(3, axis=0), smooth.treatments("text")) == [
        "Edema: U-Ones 0.55-0.85; Consolidation: U-SelfTrained, U-Zeros",
        "Cardiomegaly: U-MultiClass",
        "",
    ]


def test_every_observation_but_no_finding_has_a_policy() -> None:
    assert set(DEFAULT_POLICIES) == set(OBSERVATIONS) - {NO_FINDING}
    treatments = dict(zip(OBSERVATIONS, DisambiguateSettings().treatments("image"), strict=True))
    assert {name: treatments[name].policy for name in FIVE} == {
        "Atelectasis": "U-Ones",
        "Edema": "U-Ones",
        "Consolidation": "U-SelfTrained",
        "Cardiomegaly": "U-MultiClass",
        "Pleural Effusion": "U-MultiClass",
    }


def test_a_side_s_own_entry_goes_before_the_one_for_both() -> None:
    both = {"policies": {"Edema": "U-Zeros", "Fracture": "U-Zeros"}, "smoothing": {"Edema": [0, 0.3]}}
    chosen = parse(
        DisambiguateSettings, {**both, "image": {"policies": {"Edema": "U-Ones"}, "smoothing": {"Edema": [0.5, 1]}}}
    )
    sides = {side: chosen.treatments(side)[_AT["Edema"]] for side in ("image", "text")}  # type: ignore[arg-type]
    assert (sides["image"].policy, sides["image"].smoothing) == ("U-Ones", (0.5, 1))
    assert (sides["text"].policy, sides["text"].smoothing) == ("U-Zeros", (0, 0.3))
    assert all(chosen.treatments(side)[_AT["Fracture"]].policy == "U-Zeros" for side in ("image", "text"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"policies": {"Oedema": "U-Ones"}}, "policies.*Oedema"),
        ({"policies": {"Edema": "U-Twos"}}, "policies.*U-Twos"),
        ({"policies": {"No Finding": "U-Ones"}}, "'No Finding' is not an observation that can be uncertain"),
        ({"smoothing": {"Edema": [0.8, 0.5]}}, r"smoothing: .*'Edema': the range ends \(0.5\) before it begins"),
        ({"smoothing": {"Edema": [0.5, 1.5]}}, "smoothing.Edema.1: .*less than or equal to 1, found 1.5"),
        ({"smoothing": {"Cardiomegaly": [0, 1]}}, "smoothing: 'Cardiomegaly' is neither U-Ones nor U-Zeros"),
        ({"image": {"smoothing": {"Consolidation": [0, 1]}}}, "image.smoothing: 'Consolidation' is neither"),
        ({"text": {"policies": {"Cardiomegaly": "U-SelfTrained"}}}, "'Cardiomegaly' is U-MultiClass for images and"),
        ({"one_hot": True, "text": {"policies": {"Edema": "U-Ignore"}}}, "one_hot: 'Edema' has policy U-Ignore"),
    ],
)
def test_mistakes_in_policies_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse(DisambiguateSettings, values)


_NORMAL = "No pleural effusion, pneumothorax, consolidation, edema or pneumonia. Heart size is normal."
_CONSOLIDATION = "Right consolidation. No pleural effusion, pneumothorax, edema or pneumonia. Heart size is normal."


@pytest.mark.parametrize("policy", _ALL)
@pytest.mark.parametrize("certain", ["Consolidation.", "Possible consolidation."])
def test_no_finding_and_consolidation_have_nothing_in_common(policy: str, certain: str) -> None:
    chosen = parse(DisambiguateSettings, {"policies": dict.fromkeys(DEFAULT_POLICIES, policy)})
    for settings_ in (chosen, DisambiguateSettings()):
        normal, other = (
            combine_vectors(_vectors([label_sentence(part) for part in text.split(". ")], settings_, 0.9))
            for text in (_NORMAL, _CONSOLIDATION.replace("Right consolidation.", certain))
        )
        assert normal[_AT[NO_FINDING]] == 1
        assert float(normal @ other) == 0


def test_one_hot_texts_are_alike_in_what_they_deny() -> None:
    chosen = parse(DisambiguateSettings, {"one_hot": True})
    normal, other = (
        combine_vectors(_vectors([label_sentence(part) for part in text.split(". ")], chosen, 0.9))
        for text in (_NORMAL, _CONSOLIDATION)
    )
    shared = {"Pleural Effusion", "Pneumothorax", "Edema", "Pneumonia", "Cardiomegaly"}
    assert float(normal @ other) == len(shared)
    assert {name for name, k in _AT.items() if normal[14 + k]} == shared | {"Consolidation"}


def _vectors(sentences: list[dict[str, State]], chosen: DisambiguateSettings, probability: float) -> Floats:
    given = coded(sentences)
    return vectors(given, np.full(given.shape, probability, np.float32), chosen, 0.25)


_states = st.fixed_dictionaries({name: st.sampled_from([1, 0, -1, None]) for name in OBSERVATIONS[1:]})
_sentences = st.lists(st.tuples(_states, st.booleans()), min_size=1, max_size=6)
_slots = st.sampled_from([(False, _ALL), (True, _ALL[1:])])  # one-hot slots refuse U-Ignore


@given(
    _sentences,
    st.sampled_from([np.nan, 0.0, 0.3, 1.0]),
    _slots.flatmap(
        lambda way: st.tuples(
            st.just(way[0]), st.dictionaries(st.sampled_from(OBSERVATIONS[1:]), st.sampled_from(way[1]))
        )
    ),
    st.sampled_from([{}, {"Pneumothorax": [0.0, 0.3], "Lung Opacity": [0.55, 0.85]}]),
    st.data(),
)
@settings(max_examples=300, deadline=None)
def test_what_is_left_of_a_text_has_the_vector_of_a_fresh_aggregation(
    sentences: list[tuple[dict[str, State], bool]],
    probability: float,
    policies: tuple[bool, dict[str, str]],
    smoothing: dict[str, list[float]],
    data_: st.DataObject,
) -> None:
    """Also after a sentence was dropped: a text's vector needs no more than the sentences that it contains."""
    rows: list[dict[str, State]] = [{**row, NO_FINDING: sentence_no_finding(row, other)} for row, other in sentences]
    smooth = {name: value for name, value in smoothing.items() if name not in policies[1]}
    values = {"one_hot": policies[0], "policies": policies[1], "smoothing": smooth}
    chosen = parse(DisambiguateSettings, values)
    settled = _vectors(rows, chosen, probability)
    dropped = data_.draw(st.integers(0, len(rows) - 1))
    for kept in (range(len(rows)), [k for k in range(len(rows)) if k != dropped]):
        if kept:
            fresh = _vectors([aggregate([rows[k] for k in kept])], chosen, probability)[0]
            assert np.array_equal(combine_vectors(settled[list(kept)]), fresh)


def test_a_text_without_sentences_has_no_label() -> None:
    assert combine_vectors(np.zeros((0, 14), np.float32)).tolist() == [0.0] * 14
    assert combine_vectors(np.zeros((0, 42), np.float32)).tolist() == [0.0] * 42
