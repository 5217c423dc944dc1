rule pack:
    """Decode and resize every image of a data set once, into one memory-mapped array."""
    input:
        RESULTS + "/ingest/{dataset}",
    output:
        directory(RESULTS + "/pack/{dataset}"),
    log:
        RESULTS + "/logs/pack/{dataset}.log",
    benchmark:
        RESULTS + "/benchmarks/pack/{dataset}.tsv"
    conda:
        "../../envs/mmclip.yaml"
    threads: config["threads"]["pack"]
    resources:
        mem_mb=4000,
        runtime=480,
    params:
        settings=settings("pack"),
        code=code("pack"),
    shell:
        "python -m mmclip pack {input}/images.parquet --settings {params.settings:q} --workers {threads} -o {output} > {log} 2>&1"
