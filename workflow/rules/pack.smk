rule pack:
    """Decode and resize every image of a data set once, into memory-mapped arrays; a killed job goes on where it was."""
    input:
        "<results>/ingest/{dataset}",
    output:
        directory("<results>/pack/{dataset}"),
    log:
        "<results>/logs/pack/{dataset}.log",
    benchmark:
        "<results>/benchmarks/pack/{dataset}.tsv"
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
        "python -m mmclip pack {input}/images.parquet --settings {params.settings:q} --workers {threads}"
        " -o {output} > {log} 2>&1"
