import pytest

from mmclip.filtering.pairs import Pairs
from mmclip.filtering.scores.copying import copied_share


@pytest.mark.parametrize(
    ("source", "translation", "share"),
    [
        ("No pleural effusion is seen.", "No pleural effusion is seen.", 1.0),
        ("No pleural effusion is seen.", "no PLEURAL effusion is seen", 1.0),
        ("No pleural effusion is seen.", "No se ve derrame pleural.", 0.4),
        ("No effusion seen.", "Geen vocht.", 0.0),
        ("Pneumothorax.", "Pneumothorax.", 0.0),
        ("PICC line.", "PICC line.", 0.0),
        ("NO PLEURAL EFFUSION.", "NO PLEURAL EFFUSION.", 1.0),
        ("___ ___", "___ ___", 0.0),
        ("12 mm nodule", "12 mm Rundherd", 0.5),
    ],
)
def test_copied_share(source: str, translation: str, share: float) -> None:
    assert copied_share(Pairs([source], [translation], "eng_Latn", "spa_Latn"))[0] == pytest.approx(share)
