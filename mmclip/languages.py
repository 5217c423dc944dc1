"""The 21 languages: FLORES-200 code, English name, script, direction, and whether words are separated by spaces."""

from __future__ import annotations

from dataclasses import dataclass

from mmclip.errors import UserError


@dataclass(frozen=True)
class Language:
    """One language of the corpus.

    Attributes:
        code: FLORES-200 code (NLLB's), as ``spa_Latn``.
        name: English name.
        iso: ISO 639-1 code, as used by language identification.
        direction: ``ltr`` or ``rtl``.
        tokens: ``word`` where spaces separate words, ``character`` where they do not (Chinese, Japanese): the unit
            for type-token ratio and repetition.
    """

    code: str
    name: str
    iso: str
    direction: str = "ltr"
    tokens: str = "word"

    @property
    def script(self) -> str:
        """ISO 15924 code of the script, the second half of the FLORES code."""
        return self.code.split("_")[1]


ENGLISH = "eng_Latn"

LANGUAGES: dict[str, Language] = {
    language.code: language
    for language in (
        Language("eng_Latn", "English", "en"),
        Language("spa_Latn", "Spanish", "es"),
        Language("fra_Latn", "French", "fr"),
        Language("deu_Latn", "German", "de"),
        Language("ita_Latn", "Italian", "it"),
        Language("por_Latn", "Portuguese", "pt"),
        Language("nld_Latn", "Dutch", "nl"),
        Language("pol_Latn", "Polish", "pl"),
        Language("ces_Latn", "Czech", "cs"),
        Language("ron_Latn", "Romanian", "ro"),
        Language("rus_Cyrl", "Russian", "ru"),
        Language("ukr_Cyrl", "Ukrainian", "uk"),
        Language("tur_Latn", "Turkish", "tr"),
        Language("arb_Arab", "Arabic", "ar", direction="rtl"),
        Language("pes_Arab", "Persian", "fa", direction="rtl"),
        Language("hin_Deva", "Hindi", "hi"),
        Language("zho_Hans", "Chinese", "zh", tokens="character"),
        Language("jpn_Jpan", "Japanese", "ja", tokens="character"),
        Language("kor_Hang", "Korean", "ko"),
        Language("vie_Latn", "Vietnamese", "vi"),
        Language("ind_Latn", "Indonesian", "id"),
    )
}
"""English and the 20 target languages. The paper names no list; ours are the languages that NLLB-200, XLM-R's CC100
and the language identifier share, by number of speakers and variety of script."""

TARGETS: tuple[str, ...] = tuple(code for code in LANGUAGES if code != ENGLISH)


def language(code: str, where: str = "language") -> Language:
    """The language of a FLORES code; `where` names the file or key for the error.

    Raises:
        UserError: the code is not one of the 21.
    """
    if code not in LANGUAGES:
        near = [
            known for known in LANGUAGES if known.split("_")[0] == code.split("_")[0] or LANGUAGES[known].iso == code
        ]
        hint = f"did you mean {near[0]}?" if near else f"known codes: {', '.join(LANGUAGES)}"
        raise UserError(f"{where}: {code!r} is not a language of mmclip (FLORES-200 code); {hint}")
    return LANGUAGES[code]
