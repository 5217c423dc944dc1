import pytest

from mmclip.filtering.pairs import Pairs
from mmclip.filtering.scores.laterality import kept_sides


def sides(source: str, translation: str, language: str) -> float:
    return float(kept_sides(Pairs([source], [translation], "eng_Latn", language))[0])


EFFUSIONS = {
    "spa_Latn": ("Derrame pleural izquierdo.", "Derrame pleural derecho.", "Derrame pleural bilateral."),
    "fra_Latn": ("Épanchement pleural gauche.", "Épanchement pleural droit.", "Épanchement pleural bilatéral."),
    "deu_Latn": ("Pleuraerguss links.", "Rechtsseitiger Pleuraerguss.", "Beidseitige Pleuraergüsse."),
    "ita_Latn": ("Versamento pleurico sinistro.", "Versamento pleurico a destra.", "Versamento pleurico bilaterale."),
    "por_Latn": ("Derrame pleural à esquerda.", "Derrame pleural direito.", "Derrame pleural bilateral."),
    "nld_Latn": ("Pleuravocht links.", "Rechterzijdig pleuravocht.", "Pleuravocht beiderzijds."),
    "pol_Latn": ("Płyn w lewej jamie opłucnej.", "Płyn w prawej jamie opłucnej.", "Obustronny płyn w opłucnej."),
    "ces_Latn": ("Výpotek vlevo.", "Pravostranný výpotek.", "Oboustranný výpotek."),
    "ron_Latn": ("Pleurezie stângă.", "Pleurezie dreaptă.", "Pleurezie bilaterală."),
    "rus_Cyrl": ("Левосторонний выпот.", "Выпот справа.", "Двусторонний выпот."),
    "ukr_Cyrl": ("Лівобічний випіт.", "Випіт праворуч.", "Двобічний випіт."),
    "tur_Latn": ("Sol plevral efüzyon.", "Sağda plevral efüzyon.", "Bilateral plevral efüzyon."),
    "arb_Arab": ("انصباب جنبي أيسر.", "انصباب جنبي في الجهة اليمنى.", "انصباب جنبي ثنائي الجانب."),
    "pes_Arab": ("افیوژن پلورال چپ.", "افیوژن پلورال سمت راست.", "افیوژن پلورال دوطرفه."),
    "hin_Deva": ("बाएँ फुफ्फुस में बहाव।", "दाहिने फुफ्फुस में बहाव।", "दोनों ओर फुफ्फुस बहाव।"),
    "zho_Hans": ("左侧胸腔积液。", "右侧胸腔积液。", "双侧胸腔积液。"),
    "jpn_Jpan": ("左胸水。", "右側に胸水を認める。", "両側胸水。"),
    "kor_Hang": ("좌측 흉수.", "오른쪽 흉수.", "양측 흉수."),
    "vie_Latn": ("Tràn dịch màng phổi trái.", "Tràn dịch màng phổi bên phải.", "Tràn dịch màng phổi hai bên."),
    "ind_Latn": ("Efusi pleura kiri.", "Efusi pleura kanan.", "Efusi pleura bilateral."),
}
SOURCES = ("Left pleural effusion.", "Right pleural effusion.", "Bilateral pleural effusions.")


@pytest.mark.parametrize("language", EFFUSIONS)
def test_sides_in_every_language(language: str) -> None:
    for side, source in enumerate(SOURCES):
        for other, translation in enumerate(EFFUSIONS[language]):
            assert sides(source, translation, language) == float(side == other), (source, translation)


@pytest.mark.parametrize(
    ("source", "translation", "language", "score"),
    [
        ("The lungs are clear.", "双肺清晰。", "zho_Hans", 0.5),
        ("Both lungs are clear.", "Los pulmones están limpios.", "spa_Latn", 0.5),
        ("Left and right effusions.", "Derrames bilaterales.", "spa_Latn", 1.0),
        ("Bilateral effusions.", "左右の胸水。", "jpn_Jpan", 1.0),
        ("Bilateral effusions, left greater.", "Derrames bilaterales, mayor el izquierdo.", "spa_Latn", 1.0),
        ("Bilateral effusions, left greater.", "Derrames bilaterales, mayor el derecho.", "spa_Latn", 0.0),
        ("Bilateral effusions, left greater.", "Derrames bilaterales.", "spa_Latn", 0.0),
        ("Left effusion.", "Derrame.", "spa_Latn", 0.0),
        ("RLL pneumonia.", "Neumonía del lóbulo inferior derecho.", "spa_Latn", 1.0),
        ("RLL pneumonia.", "RLL 肺炎。", "zho_Hans", 1.0),
        ("Effusion.", "Derrame izquierdo.", "spa_Latn", 0.0),
        ("Heart size is normal.", "Serce prawidłowej wielkości.", "pol_Latn", 1.0),
        ("Probable pneumonia.", "Pravděpodobná pneumonie.", "ces_Latn", 1.0),
        ("Regular contours.", "Правильные контуры.", "rus_Cyrl", 1.0),
        ("Respiratory distress.", "Solunum sıkıntısı.", "tur_Latn", 1.0),
        ("The bones are intact.", "Kemikler sağlam.", "tur_Latn", 1.0),
        ("This is not pneumonia.", "Đây không phải là viêm phổi.", "vie_Latn", 1.0),
        ("About 3 cm.", "约3厘米左右。", "zho_Hans", 0.5),
        ("RT-PCR was positive.", "La RT-PCR fue positiva.", "spa_Latn", 1.0),
        ("Rt-sided effusion after RT-PCR.", "Derrame derecho tras la RT-PCR.", "spa_Latn", 1.0),
        ("Nodular pattern.", "결절 양상.", "kor_Hang", 1.0),
    ],
)
def test_idioms_and_look_alikes(source: str, translation: str, language: str, score: float) -> None:
    assert sides(source, translation, language) == score
