import pytest

from mmclip.filtering.pairs import Pairs
from mmclip.filtering.scores.script import script_share, unreadable_runs


@pytest.mark.parametrize(
    ("language", "text", "share"),
    [
        ("spa_Latn", "Sin neumotórax ñ.", 1),
        ("spa_Latn", "нет", 0),
        ("rus_Cyrl", "КТ и CT", 3 / 5),
        ("ukr_Cyrl", "Зліва, її ґ", 1),
        ("arb_Arab", "انصباب", 1),
        ("pes_Arab", "پلورال گچی", 1),
        ("hin_Deva", "फुफ्फुस", 1),
        ("zho_Hans", "左侧积液", 1),
        ("zho_Hans", "胸水なし", 0.5),
        ("jpn_Jpan", "右肺にコンソリデーション", 1),
        ("jpn_Jpan", "ﾊｲ", 1),
        ("kor_Hang", "흉수", 1),
        ("vie_Latn", "Tràn dịch màng phổi", 1),
        ("spa_Latn", "12 - 4", 1),
    ],
)
def test_script_share(language: str, text: str, share: float) -> None:
    assert script_share(Pairs(["x"], [text], "eng_Latn", language))[0] == pytest.approx(share)


READABLE = [
    "Sin neumotórax. ¿Derrame?",
    "« Épanchement à gauche »",
    "Não há lesões, consolidação à direita",
    "Pnömotoraks yok, sağ akciğer",
    "Рёбра не изменены, её",
    "Її ребра цілі",
    "لا يوجد انصباب",
    "कोई बहाव नहीं",
    "未见胸腔积液。",
    "気胸を認めない",
    "기흉 없음",
    "Không tràn dịch",
    "37 °C, 5 µm, ± 2",
]


@pytest.mark.parametrize("text", READABLE)
def test_real_text_is_readable(text: str) -> None:
    assert unreadable_runs(text) == 0


@pytest.mark.parametrize("text", [text for text in READABLE if not text.isascii()])
def test_utf8_read_as_another_code_is_found(text: str) -> None:
    assert unreadable_runs(text.encode().decode("latin-1")) > 0


@pytest.mark.parametrize("code", ["cp1252", "cp1251"])
def test_mojibake_of_windows_code_pages(code: str) -> None:
    text = "Neumotórax" if code == "cp1252" else "Пневмоторакса нет"
    assert unreadable_runs(text.encode().decode(code, errors="replace")) > 0


def test_replacement_characters_and_controls() -> None:
    assert unreadable_runs("neumot\ufffdrax") == 1
    assert unreadable_runs("neumo\x00t\x07orax") == 2
