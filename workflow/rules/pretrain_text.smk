rule pretrain_text:
    """Train the tokenizer where there is none, and the text encoder by masked and translation language modelling."""
    input:
        ingest=expand(RESULTS + "/ingest/{dataset}", dataset=DATASETS),
        corpus=lambda wildcards: corpus(TEXT_MODELS[wildcards.experiment]),
    output:
        directory(RESULTS + "/pretrain_text/{experiment}"),
    log:
        RESULTS + "/logs/pretrain_text/{experiment}.log",
    benchmark:
        RESULTS + "/benchmarks/pretrain_text/{experiment}.tsv"
    conda:
        "../../envs/mmclip.yaml"
    threads: config["threads"]["train"]
    resources:
        mem_mb=8000,
        runtime=1440,
        gpu=1,
    params:
        settings=lambda wildcards: json.dumps(TEXT_MODELS[wildcards.experiment], sort_keys=True),
        checkpoints=RESULTS + "/checkpoints/{experiment}",
        corpus=lambda wildcards: corpus_folder(TEXT_MODELS[wildcards.experiment]),
        shards=" ".join(SHARDS),
        languages=" ".join(LANGUAGES),
        code=code("pretrain_text"),
    shell:
        "python -m mmclip pretrain-text --ingest '{input.ingest}' --corpus {params.corpus} --shards '{params.shards}' --languages '{params.languages}'"
        " --settings {params.settings:q} --checkpoints {params.checkpoints} --threads {threads} -o {output} 2>&1 | tee {log}"
