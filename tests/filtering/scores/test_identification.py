import pytest

from mmclip.config.filtering import Thresholds
from mmclip.filtering.pairs import Pairs
from mmclip.filtering.scores.identification import MOST, language_odds

SENTENCES = {
    "eng_Latn": "There is no evidence of pleural effusion on the left side.",
    "spa_Latn": "No se observa derrame pleural en el lado izquierdo.",
    "fra_Latn": "Il n'y a pas d'épanchement pleural du côté gauche.",
    "deu_Latn": "Auf der linken Seite ist kein Pleuraerguss zu erkennen.",
    "ita_Latn": "Non si osserva versamento pleurico sul lato sinistro.",
    "por_Latn": "Não se observa derrame pleural no lado esquerdo.",
    "nld_Latn": "Er is geen pleuravocht zichtbaar aan de linkerkant.",
    "pol_Latn": "Nie stwierdza się płynu w lewej jamie opłucnej.",
    "ces_Latn": "Na levé straně není patrný pleurální výpotek.",
    "ron_Latn": "Nu se observă lichid pleural pe partea stângă.",
    "rus_Cyrl": "Слева плевральный выпот не определяется.",
    "ukr_Cyrl": "Зліва плевральний випіт не визначається.",
    "tur_Latn": "Sol tarafta plevral efüzyon izlenmemektedir.",
    "arb_Arab": "لا يوجد انصباب جنبي في الجهة اليسرى.",
    "pes_Arab": "افیوژن پلورال در سمت چپ دیده نمی‌شود.",
    "hin_Deva": "बाईं ओर कोई फुफ्फुस बहाव नहीं दिख रहा है।",
    "zho_Hans": "左侧未见胸腔积液征象。",
    "jpn_Jpan": "左側に胸水は認められない。",
    "kor_Hang": "왼쪽에 흉수는 보이지 않는다.",
    "vie_Latn": "Không thấy tràn dịch màng phổi bên trái.",
    "ind_Latn": "Tidak tampak efusi pleura di sisi kiri.",
}


@pytest.mark.parametrize("language", SENTENCES)
def test_a_plain_sentence_is_known_and_no_other_language_takes_it(language: str) -> None:
    texts = list(SENTENCES.values())
    odds = language_odds(Pairs(["x"] * len(texts), texts, "eng_Latn", language))
    for code, value in zip(SENTENCES, odds, strict=True):
        assert (value > 0) == (code == language), (code, value)


def test_nothing_to_judge_by_is_zero_and_odds_are_bounded() -> None:
    japanese = ["これは日本語です", "左肺に小さな結節を認め、胸水は認められない。" * 2]
    odds = language_odds(Pairs(["x"] * 4, ["", "12 / 4", *japanese], "eng_Latn", "rus_Cyrl"))
    assert odds[[0, 1, 3]].tolist() == [0, 0, -MOST]
    assert -MOST < odds[2] < -1  # too short to be sure


def test_one_word_that_a_neighbour_has_too_is_no_verdict() -> None:
    odds = language_odds(Pairs(["Atelectasis."], ["Atelectase."], "eng_Latn", "nld_Latn"))
    assert -Thresholds().min_language > -odds[0] > 0
