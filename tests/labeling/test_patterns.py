"""The pattern language against a brute-force reading of it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmclip.errors import UserError
from mmclip.labeling.patterns import Match, Matcher, longest, parse


def places(pattern: str, text: str) -> set[tuple[int, int]]:
    return {(match.start, match.end) for match in Matcher([[pattern]]).find(text.split())}


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("effusion", "no effusion , effusions", {(1, 2)}),
        ("effusion*", "no effusion , effusions", {(1, 2), (3, 4)}),
        ("(a|b c) d", "a d b c d b d", {(0, 2), (2, 5)}),
        ("[pleural] fluid", "pleural fluid", {(0, 2), (1, 2)}),
        ("a ~2 b", "a x y b a b a , b", {(0, 4), (4, 6)}),
        ("a [b [c|d]] e", "a e a b e a b c e a c e", {(0, 2), (2, 5), (5, 9)}),
        ("?", "? pneumonia", {(0, 1)}),
    ],
)
def test_known_answers(pattern: str, text: str, expected: set[tuple[int, int]]) -> None:
    assert places(pattern, text) == expected


@pytest.mark.parametrize("pattern", ["", "[a]", "~2", "(a|[b])", "a|b", "(a", "a)", "(a]", "()", "(a|)", "[a] ~1"])
def test_patterns_that_are_none(pattern: str) -> None:
    with pytest.raises(UserError, match="pattern"):
        parse(pattern)


@pytest.mark.parametrize("pattern", ["~1 a", "[a] ~2 b", "(a|~1 b) c"])
def test_a_pattern_begins_with_a_word(pattern: str) -> None:
    with pytest.raises(UserError, match="begin with a gap"):
        Matcher([[pattern]])


_words = st.sampled_from(["a", "b", "ab", "c", ","])
_flat = st.lists(
    st.one_of(
        st.sampled_from(["a", "b", "c", "a*"]),
        st.sampled_from(["(a|b c)", "[b|c]", "~1", "~2", "[a [b]]"]),
    ),
    min_size=1,
    max_size=5,
)


@given(pieces=_flat, words=st.lists(_words, max_size=8))
def test_matches_equal_those_of_a_regular_expression(pieces: list[str], words: list[str]) -> None:
    regex = {
        "a": "a ",
        "b": "b ",
        "c": "c ",
        "a*": "a[a-z]* ",
        "(a|b c)": "(?:a |b c )",
        "[b|c]": "(?:b |c )?",
        "~1": "(?:[a-z]+ ){0,1}",
        "~2": "(?:[a-z]+ ){0,2}",
        "[a [b]]": "(?:a (?:b )?)?",
    }
    framed = ["a", *pieces, "c"]
    pattern = " ".join(framed)
    compiled = re.compile("".join(regex[piece] for piece in framed))
    expected = {
        (start, end)
        for start in range(len(words))
        for end in range(start + 1, len(words) + 1)
        if compiled.fullmatch("".join(f"{word} " for word in words[start:end]))
    }
    assert places(pattern, " ".join(words)) == expected


def test_longest_takes_the_leftmost_then_the_longest_then_the_earlier_rule() -> None:
    matches = [Match(1, 2, 0), Match(0, 1, 2), Match(0, 2, 1), Match(0, 2, 3), Match(2, 3, 0)]
    assert longest(matches) == [Match(0, 2, 1), Match(2, 3, 0)]
