import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmclip.config.filtering import Drawing, Filtering, Thresholds
from mmclip.errors import UserError
from mmclip.filtering.decisions import decide_by_engine
from mmclip.filtering.drawing import DRAWN, draw
from mmclip.filtering.scoring import SCORES
from mmclip.filtering.stage import filter_shard
from mmclip.filtering.thresholds import draw_thresholds, read_thresholds, sample
from mmclip.tables.files import read_table, write_table
from mmclip.tables.translation import SCORED, SENTENCES
from tests.filtering.builders import sentences

SHIPPED = Thresholds()


def scored(**columns: list[float]) -> pl.DataFrame:
    """A scored sample: perfect but for the given scores."""
    n = len(next(iter(columns.values())))
    perfect = {"content": 30.0, "language": 6.0, "copy": 0.0, "repetition": 1.0, "character_loop": 1.0, "mojibake": 0.0}
    perfect |= {"shared_output": 1.0, "similarity": 1.0, "untranslated": 0.0}
    names = [score.name for score in SCORES]
    return pl.DataFrame({f"score_{name}": columns.get(name, [perfect.get(name, 1.0)] * n) for name in names})


def test_the_rule_on_known_numbers() -> None:
    ratios = [1.5, 1.5, 1.2, 1.875, 1.5 / 1.5, 1.5 * 1.5, 1.2, 1.875]  # log-symmetric around 1.5
    chosen, how = draw(scored(length_ratio=ratios), Drawing(least=2, spread=2.0), SHIPPED)
    deviation = 1.4826 * float(np.median(np.abs(np.log(ratios) - math.log(1.5))))
    assert chosen.max_length_ratio == pytest.approx(1.5 * math.exp(2 * deviation), abs=1e-4)
    row = next(row for row in how if row["threshold"] == "max_length_ratio")
    assert row["median"] == pytest.approx(1.5, abs=1e-4)
    assert (row["configured"], row["drawn"]) == (2.5, chosen.max_length_ratio)


def test_nothing_is_drawn_without_spread_or_with_too_few() -> None:
    assert draw(scored(length_ratio=[1.0] * 300), Drawing(), SHIPPED) == (SHIPPED, [])
    assert draw(scored(length_ratio=[0.5, 1.0, 2.0]), Drawing(), SHIPPED) == (SHIPPED, [])


def test_faults_in_less_than_half_of_the_sample_hardly_move_a_threshold() -> None:
    rng = np.random.default_rng(0)
    good = np.exp(rng.normal(0.4, 0.3, 2000))
    spoilt = good.copy()
    spoilt[:200] = 0.05
    clean, dirty = (draw(scored(length_ratio=list(map(float, x))), Drawing(), SHIPPED)[0] for x in (good, spoilt))
    assert dirty.max_length_ratio == pytest.approx(clean.max_length_ratio, rel=0.15)


def test_counted_facts_keep_their_thresholds() -> None:
    drawn = {one.threshold for one in DRAWN}
    assert not drawn & {"min_numbers", "min_units", "min_laterality", "min_negation", "max_mojibake", "max_repetition"}


@given(st.lists(st.floats(0.01, 100), min_size=3, max_size=60), st.floats(0.1, 10))
def test_a_threshold_stays_within_its_limits(ratios: list[float], spread: float) -> None:
    chosen, _ = draw(scored(length_ratio=ratios), Drawing(least=2, spread=spread), SHIPPED)
    for one in DRAWN:
        value = getattr(chosen, one.threshold)
        assert value == getattr(SHIPPED, one.threshold) or one.limits[0] <= value <= one.limits[1]


def shard(path: Path, start: int, n: int, engine: str = "memory", words: int = 6) -> Path:
    rows = [
        (
            f"s{number}",
            0,
            f"The nodule measures {number} mm.",
            f"El nódulo{' muy' * (number % words)} mide {number} mm.",
        )
        for number in range(start, start + n)
    ]
    write_table(sentences(rows, engine), path, SENTENCES)
    return path


def test_the_sample_depends_on_seed_and_sources_and_not_on_shards(tmp_path: Path) -> None:
    one = [shard(tmp_path / "all", 0, 300)]
    parts = [shard(tmp_path / "b", 150, 150), shard(tmp_path / "a", 0, 150)]
    first, second, other = sample(one, 50, 1), sample(parts, 50, 1), sample(one, 50, 2)
    assert first["memory"].rows() == second["memory"].rows()
    assert set(first["memory"]["source"]) != set(other["memory"]["source"])
    assert first["memory"].height == 50


def test_thresholds_by_engine_decide(tmp_path: Path) -> None:
    files = [shard(tmp_path / "a", 0, 300), shard(tmp_path / "b", 300, 300, engine="wordy", words=20)]
    path, settings = tmp_path / "thresholds.json", Filtering(draw=Drawing(spread=0.8))
    summary = draw_thresholds(settings, files, "spa_Latn", path, seed=3)
    assert summary["engines"] == 2 and summary["sentences"] == 600
    content = json.loads(path.read_text())
    assert content["language"] == "spa_Latn" and "MAD" in content["rule"] and content["seed"] == 3
    assert "nodule" not in path.read_text() and "nódulo" not in path.read_text()
    found = read_thresholds(path)
    assert found["memory"].max_length_ratio != found["wordy"].max_length_ratio
    again = tmp_path / "again.json"
    draw_thresholds(settings, files[::-1], "spa_Latn", again, seed=3)
    assert again.read_bytes() == path.read_bytes()

    outputs = {name: tmp_path / f"{name}.parquet" for name in ("scored", "corpus", "rejected")}
    filter_shard(Filtering(), files[1], "spa_Latn", "filtered", **outputs, thresholds=path)
    table = read_table(outputs["scored"], SCORED)
    longest = found["wordy"].max_length_ratio
    too_long = table.filter(pl.col("reasons").list.contains("length"))
    assert (too_long["score_length_ratio"] > longest).all()
    assert table.filter(pl.col("score_length_ratio") > longest).height == too_long.height > 0


def test_each_engine_has_its_own_thresholds_and_rows_keep_their_order() -> None:
    frame = scored(length_ratio=[2.2, 2.2, 2.2, 3.0]).with_columns(
        engine=pl.Series(["a", "b", "a", "c"]), flags=pl.lit([], dtype=pl.List(pl.String)), n=pl.int_range(4)
    )
    of_engine = {"a": SHIPPED.model_copy(update={"max_length_ratio": 2.0}), "b": SHIPPED}
    decided = decide_by_engine(frame, of_engine, SHIPPED)
    assert decided["n"].to_list() == [0, 1, 2, 3]
    assert decided["kept"].to_list() == [False, True, False, False]


def test_a_broken_file_of_thresholds_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_thresholds(tmp_path / "none.json")
    for content in ("[]", "{", '{"engines": [{}]}', '{"engines": [{"engine": "a", "thresholds": {"x": 1}}]}'):
        (tmp_path / "t.json").write_text(content)
        with pytest.raises(UserError, match=r"t\.json"):
            read_thresholds(tmp_path / "t.json")
