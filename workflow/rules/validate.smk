rule validate:
    """Draw the sample of kept and rejected translations that people judge."""
    input:
        expand(RESULTS + "/filter/filtered/sentences/{language}/{shard}.parquet", language=LANGUAGES, shard=SHARDS),
    output:
        sample=RESULTS + "/validate/sample.parquet",
        sheet=RESULTS + "/validate/sheet.html",
    log:
        RESULTS + "/logs/validate.log",
    benchmark:
        RESULTS + "/benchmarks/validate.tsv"
    conda:
        "../../envs/mmclip.yaml"
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        settings=settings("validate"),
        results=RESULTS,
        shards=" ".join(SHARDS),
        languages=" ".join(LANGUAGES),
        code=code("filter"),
    shell:
        "python -m mmclip validate filter --sentences {params.results}/filter/filtered/sentences --languages '{params.languages}' --shards '{params.shards}' --settings {params.settings:q} -o $(dirname {output.sheet}) > {log} 2>&1"
