rule pretrain:
    """Align images and texts by the objectives of an experiment."""
    input:
        ingest=expand("<results>/ingest/{dataset}", dataset=TRAINED),
        packs=expand("<results>/pack/{dataset}", dataset=TRAINED),
        corpus=corpus,
        targets="<results>/disambiguate/targets.parquet",
        text=text_model,
        extension="<results>/build/ext.json",
    output:
        directory("<results>/pretrain/{experiment}"),
    log:
        "<results>/logs/pretrain/{experiment}.log",
    benchmark:
        "<results>/benchmarks/pretrain/{experiment}.tsv"
    conda:
        "../../envs/mmclip.yaml"
    threads: config["threads"]["train"]
    resources:
        # A rank: 4 GB for 216,000 reports in 21 languages (benchmarks/corpus.py), 5 GB for a copy of XLM-R's weights
        # with the optimiser's state, 3 GB for torch and CUDA; a third of it again is to spare.
        mem_mb=16000 * max(1, config["gpus"]),
        runtime=2880,
        gpu=config["gpus"],
    params:
        launcher=launcher,
        settings=experiment_settings,
        pretrained=pretrained_towers,
        text=lambda wildcards, input: f"--text-model {input.text}/model" if input.text else "",
        checkpoints=lambda wildcards: f"{RESULTS}/checkpoints/{wildcards.experiment}",
        corpus=corpus_folder,
        shards=TRAINED_SHARDS,
        code=lambda wildcards: code("pretrain", *objectives(wildcards)),
    shell:
        "{params.launcher} pretrain --ingest '{input.ingest}' --packs '{input.packs}' --corpus {params.corpus}"
        " --shards '{params.shards}' --targets {input.targets} {params.text}"
        " --settings {params.settings:q} --checkpoints {params.checkpoints} --threads {threads}"
        " -o {output} 2>&1 | tee {log}"
