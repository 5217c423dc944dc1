rule ingest:
    """Read a data set into the tables that everything else starts from."""
    input:
        source_files,
        cost,
    output:
        directory("<results>/ingest/{dataset}"),
    log:
        "<results>/logs/ingest/{dataset}.log",
    benchmark:
        "<results>/benchmarks/ingest/{dataset}.tsv"
    conda:
        "../../envs/mmclip.yaml"
    threads: config["threads"]["ingest"]
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        settings=lambda wildcards: json.dumps(DATASETS[wildcards.dataset], sort_keys=True),
        files=lambda wildcards: watched.digest(DATASETS[wildcards.dataset]),
        code=lambda wildcards: code("ingest", f"mmclip.ingest.adapters.{DATASETS[wildcards.dataset]['kind']}"),
    shell:
        "python -m mmclip ingest {wildcards.dataset} --settings {params.settings:q} --workers {threads}"
        " -o {output} > {log} 2>&1"
