rule translate:
    """Translate the sentences of one shard into one language."""
    input:
        ingest=lambda wildcards: f"<results>/ingest/{DATASET_OF[wildcards.shard]}",
        memories=memories,
    output:
        sentences="<results>/translate/{language}/{shard}.parquet",
        faults="<results>/translate/{language}/{shard}.faults.parquet",
    log:
        "<results>/logs/translate/{language}/{shard}.log",
    benchmark:
        "<results>/benchmarks/translate/{language}/{shard}.tsv"
    conda:
        "../../envs/mmclip.yaml"
    threads: config["threads"]["translate"]
    resources:
        mem_mb=4000,
        runtime=480,
        gpu=translation_gpus,
    params:
        settings=settings("translate"),
        models=translation_models,
        store=f"{RESULTS}/translate/store",
        number=shard_number,
        seed=config["seed"],
        code=code("translate"),
    shell:
        "python -m mmclip translate-shard {input.ingest}/studies.parquet --to {wildcards.language}"
        " --shard {params.number} --seed {params.seed} --settings {params.settings:q} --store {params.store}"
        " -o {output.sentences} --faults {output.faults} > {log} 2>&1"
