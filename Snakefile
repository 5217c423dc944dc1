"""From chest radiographs and reports to a multilingual image-text model, its evaluation and a report."""

from snakemake.utils import min_version, validate

min_version("9.19")


# A config file named by --configfile is the whole config, not a change to the demo's.
if not workflow.overwrite_configfiles:

    configfile: f"{workflow.basedir}/config/config.yaml"


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
include: "workflow/rules/release.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/reproduce_3mclip.smk"
include: "workflow/rules/search.smk"


onstart:
    write_controller()
    write_notice()


rule all:
    default_target: True
    input:
        expand("<results>/release/{experiment}", experiment=ALIGNED),
        "<results>/report/report.html",
        "<results>/validate/sheet.html",
        ["<results>/search/search.html"] if config["search"] else [],
