rule predict_labels:
    """Out-of-fold predictions of a label classifier, for the self-trained and multi-class policies."""
    input:
        ingest=expand("<results>/ingest/{dataset}", dataset=TRAINED),
        packs=expand("<results>/pack/{dataset}", dataset=TRAINED),
        labels=expand("<results>/label/{shard}.labels.parquet", shard=TRAINED_SHARDS),
    output:
        "<results>/predict_labels/{experiment}.parquet",
    log:
        "<results>/logs/predict_labels/{experiment}.log",
    benchmark:
        "<results>/benchmarks/predict_labels/{experiment}.tsv"
    conda:
        "../../envs/mmclip.yaml"
    threads: config["threads"]["train"]
    resources:
        mem_mb=8000,
        runtime=1440,
        gpu=min(config["gpus"], 1),
    params:
        settings=experiment_settings,
        pretrained=pretrained_towers,
        checkpoints=lambda wildcards: f"{RESULTS}/checkpoints/{wildcards.experiment}",
        code=code("predict_labels"),
    shell:
        "python -m mmclip predict-labels --ingest '{input.ingest}' --packs '{input.packs}' --labels '{input.labels}'"
        " --settings {params.settings:q} --checkpoints {params.checkpoints} --threads {threads}"
        " -o {output} 2>&1 | tee {log}"
