rule disambiguate:
    """Soft label vectors of images, studies and sentences, with uncertain labels settled by policy."""
    input:
        ingest=expand(RESULTS + "/ingest/{dataset}", dataset=DATASETS),
        labels=expand(RESULTS + "/label/{shard}.labels.parquet", shard=SHARDS),
        sentences=expand(RESULTS + "/label/{shard}.sentence_labels.parquet", shard=SHARDS),
        predictions=expand(RESULTS + "/predict_labels/{experiment}.parquet", experiment=CLASSIFIERS),
    output:
        RESULTS + "/disambiguate/targets.parquet",
    log:
        RESULTS + "/logs/disambiguate.log",
    benchmark:
        RESULTS + "/benchmarks/disambiguate.tsv"
    conda:
        "../../envs/mmclip.yaml"
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        settings=settings("disambiguate"),
        predictions=lambda wildcards, input: f"--predictions '{input.predictions}'" if CLASSIFIERS else "",
        code=code("disambiguate"),
    shell:
        "python -m mmclip disambiguate --ingest '{input.ingest}' --labels '{input.labels}' --sentence-labels '{input.sentences}'"
        " {params.predictions} --settings {params.settings:q} -o {output} > {log} 2>&1"
