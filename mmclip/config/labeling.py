"""Settings of labeling and of settling uncertain labels."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from mmclip.config.base import Settings
from mmclip.observations import NO_FINDING, OBSERVATIONS

Policy = Literal["U-Ignore", "U-Zeros", "U-Ones", "U-SelfTrained", "U-MultiClass"]
"""What becomes of an uncertain label (Irvin et al. 2019, section 4)."""

LabelSource = Literal["rules", "official:chexpert", "official:negbio", "file", "truth"]

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

DEFAULT_FALLBACK: dict[str, Literal["U-Zeros", "U-Ones"]] = {
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


class LabelSettings(Settings):
    """Observations from report texts."""

    aggregation: Literal["present_first", "chexpert_release"] = Field(
        "present_first",
        description="a study's state from its sentences': present over uncertain over absent, as CheXpert's paper says;"
        " or as its released code does, where absent and uncertain together are uncertain, present or not",
    )


class DisambiguateSettings(Settings):
    """Soft label vectors from labels, with uncertain ones settled."""

    label_sources: tuple[LabelSource, ...] = Field(
        ("rules", "official:chexpert", "official:negbio", "file"),
        min_length=1,
        description="which labels of a study or image count, the first that it has: rules first, so that images and"
        " their texts are labelled alike; official labels for images without a report",
    )
    policies: Annotated[dict[str, Policy], AfterValidator(_uncertain_ones)] = Field(
        default_factory=dict, description="observation -> policy, where it shall differ from the default"
    )
    fallback: Annotated[dict[str, Literal["U-Zeros", "U-Ones"]], AfterValidator(_uncertain_ones)] = Field(
        default_factory=dict,
        description="observation -> what settles it where its policy has no prediction; U-Zeros if not given",
    )

    def policy(self, observation: str) -> Policy:
        """The policy of an observation; No Finding is never uncertain and has U-Zeros."""
        return self.policies.get(observation, DEFAULT_POLICIES.get(observation, "U-Zeros"))

    def without_prediction(self, observation: str) -> Literal["U-Zeros", "U-Ones"]:
        """What settles an observation whose policy needs a prediction that does not exist."""
        return self.fallback.get(observation, DEFAULT_FALLBACK.get(observation, "U-Zeros"))
