rule pretrain:
    """Align images and texts by the objectives of an experiment."""
    input:
        ingest=expand(RESULTS + "/ingest/{dataset}", dataset=DATASETS),
        packs=expand(RESULTS + "/pack/{dataset}", dataset=DATASETS),
        corpus=lambda wildcards: corpus(ALIGNED[wildcards.experiment]),
        targets=RESULTS + "/disambiguate/targets.parquet",
        text=lambda wildcards: text_model(ALIGNED[wildcards.experiment]),
        extension=RESULTS + "/build/ext.json",
    output:
        directory(RESULTS + "/pretrain/{experiment}"),
    log:
        RESULTS + "/logs/pretrain/{experiment}.log",
    benchmark:
        RESULTS + "/benchmarks/pretrain/{experiment}.tsv"
    conda:
        "../../envs/mmclip.yaml"
    threads: config["threads"]["train"]
    resources:
        mem_mb=16000,
        runtime=2880,
        gpu=1,
    params:
        settings=lambda wildcards: json.dumps(ALIGNED[wildcards.experiment], sort_keys=True),
        text=lambda wildcards, input: f"--text-model {input.text}/model" if input.text else "",
        checkpoints=RESULTS + "/checkpoints/{experiment}",
        corpus=lambda wildcards: corpus_folder(ALIGNED[wildcards.experiment]),
        shards=" ".join(SHARDS),
        languages=" ".join(LANGUAGES),
        code=lambda wildcards: code("pretrain", *objectives(ALIGNED[wildcards.experiment])),
    shell:
        "python -m mmclip pretrain --ingest '{input.ingest}' --packs '{input.packs}' --corpus {params.corpus} --shards '{params.shards}' --languages '{params.languages}' --targets {input.targets}"
        " {params.text} --settings {params.settings:q} --checkpoints {params.checkpoints} --threads {threads} -o {output} 2>&1 | tee {log}"
