import pytest

from mmclip.filtering.pairs import Pairs
from mmclip.filtering.scores.negation import kept_negation


def negation(source: str, translation: str, language: str) -> float:
    return float(kept_negation(Pairs([source], [translation], "eng_Latn", language))[0])


PNEUMOTHORAX = {
    "spa_Latn": ("Sin neumotórax.", "Hay neumotórax."),
    "fra_Latn": ("Pas de pneumothorax.", "Présence d'un pneumothorax."),
    "deu_Latn": ("Kein Pneumothorax.", "Pneumothorax vorhanden."),
    "ita_Latn": ("Non si osserva pneumotorace.", "Si osserva pneumotorace."),
    "por_Latn": ("Ausência de pneumotórax.", "Presença de pneumotórax."),
    "nld_Latn": ("Geen pneumothorax.", "Er is een pneumothorax."),
    "pol_Latn": ("Nie stwierdza się odmy opłucnowej.", "Stwierdza się odmę opłucnową."),
    "ces_Latn": ("Není patrný pneumotorax.", "Je patrný pneumotorax nebo tekutina."),
    "ron_Latn": ("Fără pneumotorax.", "Există pneumotorax."),
    "rus_Cyrl": ("Пневмоторакса нет.", "Определяется пневмоторакс."),
    "ukr_Cyrl": ("Пневмотораксу немає.", "Визначається пневмоторакс."),
    "tur_Latn": ("Pnömotoraks izlenmemektedir.", "Pnömotoraks izlenmektedir."),
    "arb_Arab": ("لا يوجد استرواح صدري.", "يوجد استرواح صدري."),
    "pes_Arab": ("پنوموتوراکس مشاهده نمی‌شود.", "پنوموتوراکس مشاهده می‌شود."),
    "hin_Deva": ("कोई न्यूमोथोरैक्स नहीं है।", "न्यूमोथोरैक्स है।"),
    "zho_Hans": ("未见气胸。", "可见气胸。"),
    "jpn_Jpan": ("気胸を認めない。", "気胸を認める。"),
    "kor_Hang": ("기흉은 없다.", "기흉이 있다."),
    "vie_Latn": ("Không có tràn khí màng phổi.", "Có tràn khí màng phổi."),
    "ind_Latn": ("Tidak ada pneumotoraks.", "Terdapat pneumotoraks."),
}


@pytest.mark.parametrize("language", PNEUMOTHORAX)
def test_negation_in_every_language(language: str) -> None:
    denied, stated = PNEUMOTHORAX[language]
    assert negation("No pneumothorax.", denied, language) == 1
    assert negation("There is a pneumothorax.", stated, language) == 1
    assert negation("No pneumothorax.", stated, language) == 0
    assert negation("There is a pneumothorax.", denied, language) == 0


NO_CHANGE = {
    "spa_Latn": "Sin cambios.",
    "fra_Latn": "Sans changement.",
    "deu_Latn": "Ohne Veränderung.",
    "ita_Latn": "Senza variazioni.",
    "por_Latn": "Sem alterações.",
    "nld_Latn": "Zonder verandering.",
    "pol_Latn": "Bez zmian.",
    "ces_Latn": "Bez změny.",
    "ron_Latn": "Fără modificări.",
    "rus_Cyrl": "Без изменений.",
    "ukr_Cyrl": "Без змін.",
    "tur_Latn": "Değişiklik yok.",
    "arb_Arab": "دون تغيير.",
    "pes_Arab": "بدون تغییر.",
    "hin_Deva": "कोई परिवर्तन नहीं।",
    "zho_Hans": "未见变化。",
    "jpn_Jpan": "変化は認められない。",
    "kor_Hang": "변화 없음.",
    "vie_Latn": "Không thay đổi.",
    "ind_Latn": "Tidak ada perubahan.",
}


@pytest.mark.parametrize("language", NO_CHANGE)
def test_no_change_is_as_good_as_unchanged(language: str) -> None:
    assert negation("No significant change.", NO_CHANGE[language], language) >= 0.5
    assert negation("Unchanged.", NO_CHANGE[language], language) >= 0.5
    stated = PNEUMOTHORAX[language][1]
    assert negation("No pneumothorax, unchanged.", f"{stated} {NO_CHANGE[language]}", language) == 0


@pytest.mark.parametrize(
    ("source", "translation", "language", "score"),
    [
        ("The lungs are clear.", "Pulmones sin opacidades.", "spa_Latn", 0.5),
        ("The effusion is unchanged.", "El derrame no ha cambiado.", "spa_Latn", 0.5),
        ("The effusion is unchanged.", "El derrame, sin cambios.", "spa_Latn", 1.0),
        ("No cardiac enlargement.", "Tamaño cardíaco normal.", "spa_Latn", 0.5),
        ("Nondisplaced rib fracture.", "Fractura costal no desplazada.", "spa_Latn", 0.5),
        ("The heart is unremarkable.", "Herz ohne Befund.", "deu_Latn", 0.5),
        ("Unilateral effusion.", "Derrame no bilateral.", "spa_Latn", 0.0),
        ("Neither effusion nor edema.", "No hay derrame ni edema.", "spa_Latn", 1.0),
        ("Free of consolidation.", "Libre de consolidación.", "spa_Latn", 1.0),
        ("Left lower lobe atelectasis.", "左下肺不张。", "zho_Hans", 1.0),
        ("Irregular opacity.", "不规则不透明影。", "zho_Hans", 1.0),
        ("Right lower lobe atelectasis.", "右下葉無気肺。", "jpn_Jpan", 1.0),
        ("Findings represent pneumonia.", "肺炎かもしれない。", "jpn_Jpan", 1.0),
        ("There is free air.", "Có không khí tự do.", "vie_Latn", 1.0),
        ("A nodule or a mass.", "Uzel nebo masa.", "ces_Latn", 1.0),
        ("Pneumonia cannot be excluded.", "肺炎不能排除。", "zho_Hans", 1.0),
        ("Pneumonia cannot be excluded.", "Pnömoni dışlanamaz.", "tur_Latn", 1.0),
        ("Pneumonia cannot be excluded.", "Eine Pneumonie ist nicht auszuschließen.", "deu_Latn", 1.0),
    ],
)
def test_idioms_and_look_alikes(source: str, translation: str, language: str, score: float) -> None:
    assert negation(source, translation, language) == score
