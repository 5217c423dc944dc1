"""Parts that published radiology models are made of, built from their own tensors and configurations.

A folder of such a model holds one .safetensors file (`mmclip convert-weights` makes it from a published checkpoint),
``text/`` with config.json and tokenizer of the BERT that the text tower is, and ``image/`` with config.json of the
Hugging Face image model, where the image tower is one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from transformers import AutoConfig, BertConfig, BertModel, BertTokenizer

from mmclip.errors import UserError
from mmclip.evaluation.encoders.batches import device
from mmclip.models.hugging_face import build
from mmclip.models.weights import PICKLES, fill

Tensors = dict[str, Tensor]

COMPUTED = ("position_ids", "relative_position_index")
"""Buffers that follow from the configuration, and that libraries of some years stored among the weights."""


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        UserError: the file is missing or holds none.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: is missing or not JSON; a folder of this model has it") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: is no JSON object; a folder of this model has one")
    return value


def weights_file(folder: Path, hint: str = "*") -> Path:
    """The one safetensors file of a folder whose stem fits `hint`.

    Raises:
        UserError: there is none, or there are several; a pickled one is named.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    found = sorted(folder.glob(f"{hint}.safetensors"))
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"{folder}: {len(found)} files {hint}.safetensors, {found[0].name} first; keep one")
    pickled = [file for file in sorted(folder.glob(f"{hint}.*")) if file.suffix in PICKLES]
    if pickled:
        raise UserError(f"{pickled[0]}: pickled weights are not read; make safetensors of them: mmclip convert-weights")
    raise UserError(f"{folder}: holds no {hint}.safetensors, so no weights of this model")


def below(tensors: Mapping[str, Tensor], prefix: str) -> Tensors:
    """The tensors whose names begin so, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def one(tensors: Mapping[str, Tensor], name: str, path: Path) -> Tensor:
    """A tensor by its name.

    Raises:
        UserError: there is none.
    """
    if name not in tensors:
        raise UserError(f"{path}: has no tensor {name!r}; these are not the weights of this model")
    return tensors[name].float()


def give(module: nn.Module, tensors: Mapping[str, Tensor], prefix: str, path: Path) -> None:
    """Give a module the weights whose names begin with `prefix`, those that an embedding does not need apart."""
    own = module.state_dict()
    wanted = {name: t for name, t in below(tensors, prefix).items() if name in own or not _is_left_out(name)}
    computed = {name: t for name, t in own.items() if name not in wanted and _is_left_out(name)}
    fill(module, computed | wanted, path, prefix)


def _is_left_out(name: str) -> bool:
    return name.startswith("pooler.") or name.endswith(COMPUTED)


def resnet(tensors: Mapping[str, Tensor], prefix: str, path: Path) -> ResNet:
    """torchvision's ResNet with these weights, its depth read off their names; the classifier passes features on."""
    own = {name: tensor for name, tensor in below(tensors, prefix).items() if not name.startswith("fc.")}
    blocks = [len({name.split(".")[1] for name in own if name.startswith(f"layer{n}.")}) for n in (1, 2, 3, 4)]
    if not all(blocks):
        raise UserError(f"{path}: has no ResNet under {prefix!r}; these are not the weights of this model")
    network = ResNet(Bottleneck if "layer1.0.conv3.weight" in own else BasicBlock, blocks)
    network.fc = nn.Identity()
    fill(network, own, path, prefix)
    return network.eval()


def feature_map(network: ResNet, pixels: Tensor) -> Tensor:
    """The last grid [N, C, h, w] of a ResNet, before it is averaged."""
    grid: Tensor = network.maxpool(network.relu(network.bn1(network.conv1(pixels))))
    for layer in (network.layer1, network.layer2, network.layer3, network.layer4):
        grid = layer(grid)
    return grid


def hugging_face_image(folder: Path, tensors: Mapping[str, Tensor], prefix: str, path: Path) -> Any:
    """A Hugging Face image model of the configuration in `folder`, with these weights and no pooler."""
    read_json(folder / "config.json")
    try:
        model = build(AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False))
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / 'config.json'}: is no configuration of an image model of transformers") from error
    give(model, tensors, prefix, path)
    return model.eval()


class Bert:
    """A BERT with its tokenizer.

    Args:
        folder: config.json, and the tokenizer's files unless `tokenizer` is another folder with them.
        tensors, prefix: the weights of a BertModel, and how their names begin.
        path: where they are from.
        max_tokens: longer texts are cut.

    Raises:
        UserError: configuration or tokenizer is missing, or the weights do not fit.
    """

    def __init__(
        self,
        folder: Path,
        tensors: Mapping[str, Tensor],
        prefix: str,
        path: Path,
        max_tokens: int,
        tokenizer: Path | None = None,
    ) -> None:
        values = read_json(folder / "config.json")
        config = BertConfig(**{key: value for key, value in values.items() if key not in ("model_type", "auto_map")})
        create: Any = BertModel
        self.model: Any = create(config, add_pooling_layer=False)
        give(self.model, tensors, prefix, path)
        self.model.to(device()).eval()
        self.tokenizer = _bert_tokenizer(tokenizer or folder)
        self.max_tokens = min(max_tokens, config.max_position_embeddings)

    def ids(self, sentences: Sequence[str]) -> list[list[int]]:
        """Token ids with start and end."""
        if not len(sentences):
            return []
        rows: list[list[int]] = self.tokenizer(list(sentences), truncation=True, max_length=self.max_tokens).input_ids
        return rows

    def states(self, ids: Tensor) -> tuple[Tensor, ...]:
        """The states [n, W, width] after the embeddings and after each layer."""
        hidden: tuple[Tensor, ...] = self.model(ids, output_hidden_states=True).hidden_states
        return hidden


def _bert_tokenizer(folder: Path) -> Any:
    """The tokenizer of a BERT from tokenizer.json or vocab.txt; no code of the folder is run."""
    names = ("tokenizer.json", "vocab.txt")
    if not any((folder / name).is_file() for name in names):
        raise UserError(f"{folder}: holds no tokenizer ({' or '.join(names)}); copy it there from the text model")
    load: Any = BertTokenizer.from_pretrained
    try:
        return load(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: its tokenizer cannot be read; copy it again from the text model") from error


def linear(tensors: Mapping[str, Tensor], prefix: str, path: Path) -> nn.Linear:
    """A linear layer with these weights, with or without bias."""
    weight = one(tensors, f"{prefix}weight", path)
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=f"{prefix}bias" in tensors)
    fill(layer, below(tensors, prefix), path, prefix)
    return layer


def scale(tensors: Mapping[str, Tensor], default: float) -> float:
    """exp(`logit_scale`), bounded as CLIP's; `default` where the weights have none."""
    stored = tensors.get("logit_scale")
    return default if stored is None else float(stored.float().exp().clamp(1, 100))
