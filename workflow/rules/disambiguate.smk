rule disambiguate:
    """Soft label vectors of images, studies and sentences, with uncertain labels settled by policy."""
    input:
        ingest=expand("<results>/ingest/{dataset}", dataset=DATASETS),
        labels=expand("<results>/label/{shard}.labels.parquet", shard=SHARDS),
        sentences=expand("<results>/label/{shard}.sentence_labels.parquet", shard=SHARDS),
        predictions=expand("<results>/predict_labels/{experiment}.parquet", experiment=CLASSIFIERS),
    output:
        "<results>/disambiguate/targets.parquet",
    log:
        "<results>/logs/disambiguate.log",
    benchmark:
        "<results>/benchmarks/disambiguate.tsv"
    conda:
        "../../envs/mmclip.yaml"
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        settings=settings("disambiguate"),
        code=code("disambiguate"),
    shell:
        "python -m mmclip disambiguate --ingest '{input.ingest}' --labels '{input.labels}'"
        " --sentence-labels '{input.sentences}' --predictions '{input.predictions}'"
        " --settings {params.settings:q} -o {output} > {log} 2>&1"
