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


UNCHANGED = {
    "spa_Latn": ("Inalterado.", "Cambio significativo."),
    "fra_Latn": ("Inchangé.", "Changement significatif."),
    "deu_Latn": ("Unverändert.", "Wesentliche Änderung."),
    "ita_Latn": ("Invariato.", "Cambiamento significativo."),
    "por_Latn": ("Inalterado.", "Mudança significativa."),
    "nld_Latn": ("Onveranderd.", "Duidelijke verandering."),
    "pol_Latn": ("Obraz stabilny.", "Istotna zmiana."),
    "ces_Latn": ("Stacionární.", "Významná změna."),
    "ron_Latn": ("Aspect staționar.", "Modificare semnificativă."),
    "rus_Cyrl": ("Картина стабильная.", "Значимые изменения."),
    "ukr_Cyrl": ("Картина стабільна.", "Суттєві зміни."),
    "tur_Latn": ("Stabil.", "Belirgin değişiklik."),
    "arb_Arab": ("مستقر.", "تغير ملحوظ."),
    "pes_Arab": ("پایدار.", "تغییر قابل توجه."),
    "hin_Deva": ("अपरिवर्तित।", "महत्वपूर्ण परिवर्तन।"),
    "zho_Hans": ("大致同前。", "明显变化。"),
    "jpn_Jpan": ("不変。", "著明な変化。"),
    "kor_Hang": ("안정적이다.", "뚜렷한 변화."),
    "vie_Latn": ("Ổn định.", "Thay đổi đáng kể."),
    "ind_Latn": ("Stabil.", "Perubahan bermakna."),
}
"""What says that nothing has changed without a negation, and the statement of a change."""


@pytest.mark.parametrize("language", NO_CHANGE)
@pytest.mark.parametrize(
    "source", ["No significant change.", "No interval change.", "Not significantly changed.", "Unchanged."]
)
def test_no_change_is_the_same_as_unchanged(source: str, language: str) -> None:
    assert negation(source, NO_CHANGE[language], language) == 1
    assert negation(source, UNCHANGED[language][0], language) == 1


@pytest.mark.parametrize("language", NO_CHANGE)
def test_no_change_does_not_become_a_change(language: str) -> None:
    assert negation("No significant change.", UNCHANGED[language][1], language) == 0


@pytest.mark.parametrize("language", NO_CHANGE)
@pytest.mark.parametrize(
    "source", ["No pneumothorax.", "No pneumothorax, unchanged.", "No pneumothorax, no significant interval change."]
)
def test_no_change_is_no_negation_of_anything_else(source: str, language: str) -> None:
    denied, stated = PNEUMOTHORAX[language]
    for unchanged in (NO_CHANGE[language], UNCHANGED[language][0]):
        assert negation(source, f"{stated} {unchanged}", language) == 0
        assert negation(source, f"{denied} {unchanged}", language) == 1


@pytest.mark.parametrize("language", NO_CHANGE)
def test_no_change_in_the_source_language(language: str) -> None:
    """From any language into English."""

    def backwards(source: str, translation: str) -> float:
        return float(kept_negation(Pairs([source], [translation], language, "eng_Latn"))[0])

    for source in (NO_CHANGE[language], UNCHANGED[language][0]):
        assert backwards(source, "No significant change.") == 1
        assert backwards(source, "Unchanged.") == 1
    denied = PNEUMOTHORAX[language][0]
    assert backwards(denied, "Pneumothorax, unchanged.") == 0
    assert backwards(denied, "No pneumothorax.") == 1


ABNORMALITY = {
    "por_Latn": "Sem alterações agudas.",
    "pol_Latn": "Płuca bez zmian ogniskowych.",
    "rus_Cyrl": "Лёгкие без изменений.",
    "ukr_Cyrl": "Легені без змін.",
    "ces_Latn": "Plíce bez změn.",
}


@pytest.mark.parametrize("language", ABNORMALITY)
def test_no_abnormality_may_be_said_as_no_change(language: str) -> None:
    assert negation("No focal lesions in the lungs.", ABNORMALITY[language], language) == 0.5
    assert negation("The lungs are clear.", ABNORMALITY[language], language) >= 0.5
    assert negation("No pneumothorax.", ABNORMALITY[language], language) == 0


@pytest.mark.parametrize(
    ("source", "translation", "language", "score"),
    [
        ("The lungs are clear.", "Pulmones sin opacidades.", "spa_Latn", 0.5),
        ("The effusion is unchanged.", "El derrame no ha cambiado.", "spa_Latn", 1.0),
        ("The effusion is unchanged.", "El derrame no muestra diferencias.", "spa_Latn", 0.5),
        ("No interval change in the effusion.", "El derrame no muestra diferencias.", "spa_Latn", 1.0),
        ("Findings of COPD with no acute changes.", "Hallazgos de EPOC sin cambios agudos.", "spa_Latn", 1.0),
        ("No change in heart size.", "Tamaño cardíaco normal.", "spa_Latn", 0.5),
        ("No degenerative changes.", "Degenerative Veränderungen, unverändert.", "deu_Latn", 0.0),
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
