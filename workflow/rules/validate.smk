rule validate:
    """Draw the sample of kept and rejected translations that people judge."""
    input:
        expand(
            "<results>/filter/filtered/sentences/{language}/{shard}.parquet",
            language=LANGUAGES,
            shard=SHARDS,
        ),
    output:
        sample="<results>/validate/sample.parquet",
        sheet="<results>/validate/sheet.html",
        csv="<results>/validate/sheet.csv",
    log:
        "<results>/logs/validate.log",
    benchmark:
        "<results>/benchmarks/validate.tsv"
    conda:
        "../../envs/mmclip.yaml"
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        settings=settings("validate"),
        seed=config["seed"],
        sentences=lambda wildcards, input: Path(input[0]).parents[1],
        folder=lambda wildcards, output: Path(output.sheet).parent,
        shards=SHARDS,
        languages=LANGUAGES,
        code=code("validate"),
    shell:
        "python -m mmclip validate filter --sentences {params.sentences} --languages '{params.languages}'"
        " --shards '{params.shards}' --seed {params.seed} --settings {params.settings:q}"
        " -o {params.folder} > {log} 2>&1"
