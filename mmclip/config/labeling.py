"""Settings of labeling and of settling uncertain labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from mmclip.config.base import Settings
from mmclip.config.label_sources import DEFAULT_SOURCES, LabelSource
from mmclip.observations import NO_FINDING, OBSERVATIONS

Policy = Literal["U-Ignore", "U-Zeros", "U-Ones", "U-SelfTrained", "U-MultiClass"]
"""What becomes of an uncertain label (Irvin et al. 2019, section 4)."""

Constant = Literal["U-Zeros", "U-Ones"]

Side = Literal["image", "text"]

Share = Annotated[float, Field(ge=0, le=1)]

Range = tuple[Share, Share]

PREDICTED = frozenset({"U-SelfTrained", "U-MultiClass"})
"""Policies that replace an uncertain label by a classifier's probability that the observation is present."""

DEFAULT_POLICIES: dict[str, Policy] = {
    # CheXpert's own choice, by validation AUROC (Irvin et al. 2019, table 3). 3M-CLIP names the same three policies
    # and publishes no map.
    "Atelectasis": "U-Ones",
    "Edema": "U-Ones",
    "Consolidation": "U-SelfTrained",
    "Cardiomegaly": "U-MultiClass",
    "Pleural Effusion": "U-MultiClass",
    # No source measures the other eight. Ones where a doubt is mostly about the cause or the age of something that is
    # seen, ...
    "Lung Opacity": "U-Ones",
    "Lung Lesion": "U-Ones",
    "Fracture": "U-Ones",
    "Support Devices": "U-Ones",
    # ... zeros where it is mostly a caution against something that is not seen.
    "Enlarged Cardiomediastinum": "U-Zeros",
    "Pneumonia": "U-Zeros",
    "Pneumothorax": "U-Zeros",
    "Pleural Other": "U-Zeros",
}
"""The policy of each observation. No Finding is never uncertain."""

DEFAULT_FALLBACK: dict[str, Constant] = {
    # U-Zeros is within .01 AUROC of the chosen policy for the three observations that a classifier settles (Irvin et
    # al. 2019, table 3), and a false positive makes unlike pairs alike.
    "Consolidation": "U-Zeros",
    "Cardiomegaly": "U-Zeros",
    "Pleural Effusion": "U-Zeros",
}


def _uncertain_ones(values: dict[str, str]) -> dict[str, str]:
    for name in values:
        if name not in OBSERVATIONS or name == NO_FINDING:
            known = ", ".join(known for known in OBSERVATIONS if known != NO_FINDING)
            raise ValueError(f"{name!r} is not an observation that can be uncertain; known: {known}")
    return values


def _ordered(values: dict[str, Range]) -> dict[str, Range]:
    for name, (low, high) in values.items():
        if low > high:
            raise ValueError(f"{name!r}: the range ends ({high:g}) before it begins ({low:g})")
    return values


class LabelSettings(Settings):
    """Observations from report texts."""

    aggregation: Literal["present_first", "chexpert_release"] = Field(
        "present_first",
        description="a study's state from its sentences': present over uncertain over absent, as CheXpert's paper says;"
        " or as its released code does, where absent and uncertain together are uncertain, present or not",
    )


class SidePolicies(Settings):
    """How uncertain labels are settled, by observation."""

    policies: Annotated[dict[str, Policy], AfterValidator(_uncertain_ones)] = Field(
        default_factory=dict, description="observation -> policy, where it shall differ from the default"
    )
    fallback: Annotated[dict[str, Constant], AfterValidator(_uncertain_ones)] = Field(
        default_factory=dict,
        description="observation -> what settles it where its policy has no prediction, as for a text without an"
        " image; U-Zeros if not given",
    )
    smoothing: Annotated[dict[str, Range], AfterValidator(_uncertain_ones), AfterValidator(_ordered)] = Field(
        default_factory=dict,
        description="observation of policy U-Ones or U-Zeros -> range that its value is drawn from, once for each study"
        " (label smoothing; Pham et al. 2021 take 0.55 to 0.85 for ones and 0 to 0.3 for zeros)",
    )


@dataclass(frozen=True)
class Treatment:
    """What becomes of one observation's uncertain labels on one side.

    Attributes:
        policy: as the config or the default says.
        fallback: what settles it where `predicted` and there is no prediction.
        smoothing: the range that a value is drawn from, instead of 0 or 1.
        predicted: whether a classifier's prediction settles it.
    """

    policy: Policy
    fallback: Constant
    smoothing: tuple[float, float] | None
    predicted: bool


class DisambiguateSettings(SidePolicies):
    """Soft label vectors from labels, with uncertain ones settled."""

    label_sources: tuple[LabelSource, ...] = Field(
        DEFAULT_SOURCES,
        min_length=1,
        description="which labels of a study or image count, the first that it has: rules first, so that images and"
        " their texts are labelled alike; official labels for images without a report",
    )
    image: SidePolicies = Field(SidePolicies(), description="what differs for images")
    text: SidePolicies = Field(SidePolicies(), description="what differs for texts: studies and sentences")
    one_hot: bool = Field(
        False,
        description="vectors of 42: present, absent and uncertain as slots of each observation, so that texts are also"
        " alike in what they deny; U-MultiClass then fills the slot of the uncertain and needs no classifier",
    )

    @model_validator(mode="after")
    def _consistent(self) -> DisambiguateSettings:
        sides = [self.treatments(side) for side in ("image", "text")]
        for name, *of_sides in zip(OBSERVATIONS, *sides, strict=True):
            policies = [treatment.policy for treatment in of_sides]
            if self.one_hot and "U-Ignore" in policies:
                raise ValueError(
                    f"one_hot: {name!r} has policy U-Ignore, but slots without an entry would let another sentence's"
                    " denial through; use U-MultiClass, which gives doubt a slot of its own"
                )
            if not self.one_hot and {*policies} == PREDICTED:
                raise ValueError(
                    f"policies: {name!r} is {policies[0]} for images and {policies[1]} for texts; one classifier"
                    " predicts it, so that both must be the same"
                )
        for where, given, used in (
            ("smoothing", self.smoothing, sides),
            ("image.smoothing", self.image.smoothing, sides[:1]),
            ("text.smoothing", self.text.smoothing, sides[1:]),
        ):
            for name in given:
                if all(side[OBSERVATIONS.index(name)].smoothing is None for side in used):
                    raise ValueError(f"{where}: {name!r} is neither U-Ones nor U-Zeros, which alone have a range")
        return self

    def treatments(self, side: Side) -> tuple[Treatment, ...]:
        """What becomes of each observation on a side, in the order of the observations.

        A side's own entry goes before the one for both sides, and that before the default. No Finding is never
        uncertain and has U-Zeros.
        """
        own = self.image if side == "image" else self.text
        policies: dict[str, Policy] = DEFAULT_POLICIES | self.policies | own.policies
        fallback: dict[str, Constant] = DEFAULT_FALLBACK | self.fallback | own.fallback
        smoothing = self.smoothing | own.smoothing
        out = []
        for name in OBSERVATIONS:
            policy = policies.get(name, "U-Zeros")
            out.append(
                Treatment(
                    policy=policy,
                    fallback=fallback.get(name, "U-Zeros"),
                    smoothing=smoothing.get(name) if policy in ("U-Ones", "U-Zeros") else None,
                    predicted=policy == "U-SelfTrained" or (policy == "U-MultiClass" and not self.one_hot),
                )
            )
        return tuple(out)
