"""From the settings of an engine to the engine."""

from __future__ import annotations

from mmclip.config import translation as config
from mmclip.errors import UserError
from mmclip.translation.engine import Engine


def build(settings: config.Translation, name: str) -> Engine:
    """The engine of a name, with its fallbacks. Libraries are only imported for the engine that needs them.

    Raises:
        UserError: the settings have no engine of that name.
    """
    match settings.engines.get(name):
        case config.Memory(file=file, fallback=fallback):
            from mmclip.translation.memory import Memory

            return Memory(name, file, build(settings, fallback) if fallback else None)
        case config.Command() as chosen:
            from mmclip.translation.command import Command

            return Command(name, chosen)
        case config.CTranslate2() as chosen:
            from mmclip.translation.ct2 import CTranslate2

            return CTranslate2(name, chosen)
        case config.Nllb() as chosen:
            from mmclip.translation.nllb import Nllb

            return Nllb(name, chosen)
        case config.NllbTransformers() as chosen:
            from mmclip.translation.nllb_transformers import NllbTransformers

            return NllbTransformers(name, chosen)
    raise UserError(f"translate.engines: there is no engine {name!r}; engines: {', '.join(settings.engines)}")
