rule translate:
    """Translate the sentences of one shard into one language."""
    input:
        lambda wildcards: f"{RESULTS}/ingest/{DATASET_OF[wildcards.shard]}",
    output:
        sentences=RESULTS + "/translate/{language}/{shard}.parquet",
        faults=RESULTS + "/translate/{language}/{shard}.faults.parquet",
    log:
        RESULTS + "/logs/translate/{language}/{shard}.log",
    benchmark:
        RESULTS + "/benchmarks/translate/{language}/{shard}.tsv"
    conda:
        "../../envs/mmclip.yaml"
    threads: config["threads"]["translate"]
    resources:
        mem_mb=4000,
        runtime=480,
        gpu=1,
    params:
        settings=settings("translate"),
        store=RESULTS + "/translate/store",
        number=lambda wildcards: f"{int(wildcards.shard[-3:])}/{config['shards']}",
        code=code("translate"),
    shell:
        "python -m mmclip translate-shard {input}/studies.parquet --to {wildcards.language} --shard {params.number}"
        " --settings {params.settings:q} --store {params.store} -o {output.sentences} --faults {output.faults} > {log} 2>&1"
