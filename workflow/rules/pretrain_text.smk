rule pretrain_text:
    """Train the tokenizer where there is none, and the text encoder by masked and translation language modelling."""
    input:
        ingest=expand("<results>/ingest/{dataset}", dataset=TRAINED),
        corpus=corpus,
    output:
        directory("<results>/pretrain_text/{experiment}"),
    log:
        "<results>/logs/pretrain_text/{experiment}.log",
    benchmark:
        "<results>/benchmarks/pretrain_text/{experiment}.tsv"
    conda:
        "../../envs/mmclip.yaml"
    threads: config["threads"]["train"]
    resources:
        # A rank: 4 GB for 216,000 reports in 21 languages (benchmarks/corpus.py), 5 GB for a copy of XLM-R's weights
        # with the optimiser's state, 3 GB for torch and CUDA; a third of it again is to spare.
        mem_mb=16000 * max(1, config["gpus"]),
        runtime=1440,
        gpu=config["gpus"],
    params:
        launcher=launcher,
        settings=experiment_settings,
        pretrained=pretrained_towers,
        checkpoints=lambda wildcards: f"{RESULTS}/checkpoints/{wildcards.experiment}",
        corpus=corpus_folder,
        shards=TRAINED_SHARDS,
        code=code("pretrain_text"),
    shell:
        "{params.launcher} pretrain-text --ingest '{input.ingest}' --corpus {params.corpus}"
        " --shards '{params.shards}' --settings {params.settings:q}"
        " --checkpoints {params.checkpoints} --threads {threads} -o {output} 2>&1 | tee {log}"
