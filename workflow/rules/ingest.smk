rule ingest:
    """Read a data set into the tables that everything else starts from."""
    output:
        directory(RESULTS + "/ingest/{dataset}"),
    log:
        RESULTS + "/logs/ingest/{dataset}.log",
    benchmark:
        RESULTS + "/benchmarks/ingest/{dataset}.tsv"
    conda:
        "../../envs/mmclip.yaml"
    threads: config["threads"]["ingest"]
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        settings=lambda wildcards: json.dumps(DATASETS[wildcards.dataset], sort_keys=True),
        code=code("ingest"),
    shell:
        "python -m mmclip ingest {wildcards.dataset} --settings {params.settings:q} --workers {threads} -o {output} > {log} 2>&1"
