"""From chest radiographs and reports to a multilingual image-text model, its evaluation and a report."""

from snakemake.utils import min_version, validate

min_version("9.9")


configfile: "config/config.yaml"


validate(config, "workflow/schemas/config.schema.json")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/build.smk"
include: "workflow/rules/ingest.smk"
include: "workflow/rules/pack.smk"
include: "workflow/rules/translate.smk"
include: "workflow/rules/filter.smk"
include: "workflow/rules/validate.smk"
include: "workflow/rules/label.smk"
include: "workflow/rules/predict_labels.smk"
include: "workflow/rules/disambiguate.smk"
include: "workflow/rules/pretrain_text.smk"
include: "workflow/rules/pretrain.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/search.smk"


rule all:
    default_target: True
    input:
        f"{RESULTS}/report/report.html",
        f"{RESULTS}/validate/sheet.html",
        search_page(),
