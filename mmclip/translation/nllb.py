"""NLLB-200 on CTranslate2.

NLLB's weights are licensed CC-BY-NC 4.0 and its card says that it is not meant for medical text nor for documents: use
it sentence by sentence, for research, and filter what it writes. No weights come with mmclip; ``mmclip convert`` makes
the model folder from a Hugging Face one.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmclip.errors import UserError
from mmclip.translation.convert import languages_of
from mmclip.translation.ct2 import CTranslate2
from mmclip.translation.decoding import token_of_language


class Nllb(CTranslate2):
    """An engine of one NLLB model: ``source-code tokens </s>`` in, ``target-code tokens </s>`` out."""

    def _tokenize(self, sentences: Sequence[str], source: str, target: str) -> list[list[str]]:
        self._tokenizer.src_lang = token_of_language(self._tokenizer, source, self.name)
        tokens: list[list[str]] = [
            self._tokenizer.convert_ids_to_tokens(ids) for ids in self._tokenizer(list(sentences))["input_ids"]
        ]
        if tokens and (tokens[0][0], tokens[0][-1]) != (source, self._tokenizer.eos_token):
            raise UserError(
                f"engine {self.name}: its tokenizer does not put {source} first and the end token last, as NLLB needs; "
                "use the NLLB tokenizer with legacy_behaviour false"
            )
        return tokens

    def _target_prefix(self, target: str) -> list[str]:
        kept = languages_of(self._settings.model)
        if kept and target not in kept:
            raise UserError(
                f"engine {self.name}: {self._settings.model}: cut to other languages than {target}; convert again with "
                f"--languages '{' '.join([*kept, target])}'"
            )
        return [token_of_language(self._tokenizer, target, self.name)]
