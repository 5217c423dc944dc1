rule label:
    """Observations and their certainty from the reports of a shard, by sentence and by study."""
    input:
        lambda wildcards: f"<results>/ingest/{DATASET_OF[wildcards.shard]}",
    output:
        sentences="<results>/label/{shard}.sentence_labels.parquet",
        labels="<results>/label/{shard}.labels.parquet",
    log:
        "<results>/logs/label/{shard}.log",
    benchmark:
        "<results>/benchmarks/label/{shard}.tsv"
    conda:
        "../../envs/mmclip.yaml"
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        settings=settings("label"),
        source=lambda wildcards: DATASETS[DATASET_OF[wildcards.shard]].get("labels", {}).get("source", "rules"),
        number=shard_number,
        code=code("label"),
    shell:
        "python -m mmclip label-shard {input}/studies.parquet --shard {params.number} --source {params.source}"
        " --settings {params.settings:q} --sentence-labels {output.sentences} --labels {output.labels} > {log} 2>&1"
