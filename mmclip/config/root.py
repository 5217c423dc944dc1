"""The whole config of a run of the workflow: one section a stage."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator, model_validator

from mmclip.config.base import Settings, load
from mmclip.config.evaluation import EvaluateSettings
from mmclip.config.filtering import Filtering, Validation
from mmclip.config.imaging import PackSettings
from mmclip.config.ingest import Source
from mmclip.config.labeling import DisambiguateSettings, LabelSettings
from mmclip.config.report import ReportSettings, SearchSettings
from mmclip.config.source import FolderSource
from mmclip.config.training import ExperimentSettings
from mmclip.config.translation import Translation
from mmclip.errors import UserError
from mmclip.languages import ENGLISH, LANGUAGES
from mmclip.observations import OBSERVATIONS


class Threads(Settings):
    """Threads or processes of the jobs that use several; results do not depend on them."""

    ingest: int = Field(2, ge=1, description="of a job that reads a data set")
    pack: int = Field(2, ge=1, description="of a job that packs a data set's images")
    translate: int = Field(1, ge=1, description="of a job that translates a shard into a language")
    train: int = Field(2, ge=1, description="of a training job")
    evaluate: int = Field(1, ge=1, description="of a job that scores a model")


class Config(Settings):
    """config/config.yaml. Unknown keys are errors; what is left out has the default given here."""

    run: str = Field("demo", pattern=r"^[A-Za-z0-9_.-]+$", description="results go to <results>/<run>")
    results: str = Field("results", pattern=r"^[^\s'\"]+$", description="folder of all results")
    seed: int = Field(0, ge=0, description="added to the seed of every experiment")
    languages: tuple[str, ...] = Field(
        tuple(LANGUAGES), min_length=1, description="FLORES-200 codes, English among them"
    )
    datasets: dict[str, Source] = Field(min_length=1, description="name -> where it comes from")
    train_on: tuple[str, ...] = Field(
        (), description="data sets that anything is trained on; none given: all. The others serve benchmarks only"
    )
    shards: int = Field(1, ge=1, le=999, description="jobs a language and data set; sized for half an hour each")
    experiments: dict[str, str] = Field({}, description="name -> its YAML file, from the checkout's root")
    pack: PackSettings = PackSettings()
    translate: Translation = Translation()
    filter: Filtering = Filtering()
    validate_: Validation = Field(Validation(), alias="validate")
    label: LabelSettings = LabelSettings()
    disambiguate: DisambiguateSettings = DisambiguateSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    report: ReportSettings = ReportSettings()
    search: SearchSettings | None = Field(None, description="none: no search page")
    threads: Threads = Threads()
    gpus: int = Field(
        1,
        ge=0,
        le=16,
        description="GPUs of a job that trains text encoders or aligns, each with a process of its own (torchrun);"
        " other jobs ask for one. 0: they run on CPUs",
    )

    @field_validator("languages")
    @classmethod
    def _known(cls, codes: tuple[str, ...]) -> tuple[str, ...]:
        for code in codes:
            if code not in LANGUAGES:
                raise ValueError(
                    f"{code!r} is not a language of mmclip (FLORES-200 code); known: {', '.join(LANGUAGES)}"
                )
        if ENGLISH not in codes:
            raise ValueError(f"{ENGLISH} must be among them: labels are read from the English reports")
        return codes

    @field_validator("datasets")
    @classmethod
    def _patients_once(cls, datasets: dict[str, Source]) -> dict[str, Source]:
        """Twice the same patients would be trained on in one data set and tested on in the other."""
        known: dict[str, str] = {}
        for name, source in datasets.items():
            if not isinstance(source, FolderSource):
                continue
            first = known.setdefault(source.patients or source.kind, name)
            if first != name:
                kinds = (datasets[first].kind, source.kind)
                raise ValueError(
                    f"{first!r} and {name!r} ({', '.join(dict.fromkeys(kinds))}) hold the same patients, so that one "
                    f"could be in training and in the test; keep one of the two{_better(kinds)}"
                )
        return datasets

    @model_validator(mode="after")
    def _references(self) -> Config:
        for name in self.train_on:
            if name not in self.datasets:
                raise ValueError(f"train_on: no data set {name!r}; data sets: {', '.join(self.datasets)}")
        for name in self.evaluate.benchmarks:
            if name not in self.datasets:
                raise ValueError(f"evaluate.benchmarks: no data set {name!r}; data sets: {', '.join(self.datasets)}")
        self._held_out()
        if self.search is not None and self.search.dataset not in self.datasets:
            raise ValueError(
                f"search.dataset: no data set {self.search.dataset!r}; data sets: {', '.join(self.datasets)}"
            )
        if self.search is not None and self.search.dataset not in self.evaluate.benchmarks:
            raise ValueError(
                f"search.dataset: {self.search.dataset!r} has no benchmark, whose images are searched; benchmarks: "
                f"{', '.join(self.evaluate.benchmarks) or 'none'}"
            )
        if self.search is not None and self.search.experiment not in self.experiments:
            raise ValueError(
                f"search.experiment: no experiment {self.search.experiment!r}; "
                f"experiments: {', '.join(self.experiments)}"
            )
        return self

    def _held_out(self) -> None:
        """Benchmarks of images that a data set holds out: the data set must name them, and they have no other split."""
        supervised = [task for task in self.evaluate.tasks if task in ("linear_probe", "fine_tune")]
        for name, benchmark in self.evaluate.benchmarks.items():
            if benchmark.kind != "held_out":
                continue
            held = [one.name for one in getattr(self.datasets[name], "hold_out", ())]
            if benchmark.held_out not in held:
                raise ValueError(
                    f"evaluate.benchmarks.{name}: {benchmark.held_out!r} is not held out; "
                    f"datasets.{name}.hold_out names {', '.join(held) or 'none'}"
                )
            if supervised:
                raise ValueError(
                    f"evaluate.benchmarks.{name}: {supervised[0]} learns from the splits train and val, and of "
                    f"{benchmark.held_out!r} all images are test; use kind labels, or leave the task out"
                )


def _better(kinds: tuple[str, str]) -> str:
    """Which of two data sets with the same patients holds more."""
    if kinds[0] != kinds[1]:
        return ": chexpert_plus has the reports"
    return ": one entry reads the images below root and the reports below reports" if kinds[0] == "mimic_cxr" else ""


def read_run(config: str, root: Path) -> tuple[Config, dict[str, ExperimentSettings]]:
    """A config file, or the config itself as JSON, and the experiments that it names.

    Args:
        root: the checkout; experiment files are named from there.

    Raises:
        UserError: the first thing that is wrong, with its file and key.
    """
    settings = load(Config, config)
    return settings, {name: load(ExperimentSettings, root / file) for name, file in settings.experiments.items()}


def check_run(config: Path, root: Path) -> None:
    """Check a config file and the experiment files it names before anything is run.

    Args:
        root: the checkout; experiment files are named from there, and objectives are modules there.

    Raises:
        UserError: the first thing that is wrong, with its file and key.
    """
    settings, experiments = read_run(str(config), root)
    for name, experiment in experiments.items():
        file, text = settings.experiments[name], experiment.text_experiment
        for objective in experiment.objectives:
            if not (root / "mmclip/objectives" / f"{objective.name}.py").is_file():
                raise UserError(f"{file}: objectives: {objective.name!r} is not a module of mmclip/objectives")
        if text is not None and (text not in experiments or experiments[text].task != "text"):
            raise UserError(f"{file}: text_experiment: {config} names no experiment {text!r} of task text")
        size = experiment.model.image.size
        if experiment.task != "text" and size > settings.pack.size:
            raise UserError(
                f"{file}: model.image.size: {size} pixels are more than the {settings.pack.size} of pack.size in "
                f"{config}, so images would be enlarged; pack them larger, or choose a smaller size"
            )
        if not set(experiment.data.chosen_languages()) & set(settings.languages):
            raise UserError(f"{file}: data.languages: none of them is among the languages of {config}")
    _check_classifiers(settings, experiments, config)
    if settings.search is not None and experiments[settings.search.experiment].task != "align":
        raise UserError(f"{config}: search.experiment: {settings.search.experiment!r} is not of task align")


def _check_classifiers(settings: Config, experiments: dict[str, ExperimentSettings], config: Path) -> None:
    """A policy and the classifiers that are to settle it must speak of the same observations."""
    classifiers = [one.classify for one in experiments.values() if one.task == "classify"]
    three_way = {name for one in classifiers for name in one.multiclass}
    for side in ("image", "text") if classifiers else ():
        for name, chosen in zip(OBSERVATIONS, settings.disambiguate.treatments(side), strict=True):
            if chosen.predicted and (chosen.policy == "U-MultiClass") != (name in three_way):
                found = "has" if name in three_way else "lacks"
                raise UserError(
                    f"{config}: disambiguate.policies: {name!r} is {chosen.policy}, but classify.multiclass of the "
                    f"classifiers {found} it; make the two agree"
                )
