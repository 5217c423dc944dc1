rule filter:
    """Score the translations of a shard and keep, drop or reject them."""
    input:
        sentences=RESULTS + "/translate/{language}/{shard}.parquet",
        faults=RESULTS + "/translate/{language}/{shard}.faults.parquet",
    output:
        scored=RESULTS + "/filter/{variant}/sentences/{language}/{shard}.parquet",
        corpus=RESULTS + "/filter/{variant}/corpus/{language}/{shard}.parquet",
        rejected=RESULTS + "/filter/{variant}/rejected/{language}/{shard}.parquet",
    log:
        RESULTS + "/logs/filter/{variant}/{language}/{shard}.log",
    benchmark:
        RESULTS + "/benchmarks/filter/{variant}/{language}/{shard}.tsv"
    conda:
        "../../envs/mmclip.yaml"
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        settings=settings("filter"),
        code=code("filter"),
    shell:
        "python -m mmclip filter-shard {input.sentences} --faults {input.faults} --language {wildcards.language}"
        " --variant {wildcards.variant} --settings {params.settings:q}"
        " --scored {output.scored} --corpus {output.corpus} --rejected {output.rejected} > {log} 2>&1"


rule measure_filter:
    """Count what the filter rejected of the faults that were injected."""
    input:
        scored=expand(RESULTS + "/filter/filtered/sentences/{language}/{shard}.parquet", language=LANGUAGES, shard=SHARDS),
        faults=expand(RESULTS + "/translate/{language}/{shard}.faults.parquet", language=LANGUAGES, shard=SHARDS),
    output:
        RESULTS + "/filter/filtered/faults_report.json",
    log:
        RESULTS + "/logs/measure_filter.log",
    benchmark:
        RESULTS + "/benchmarks/measure_filter.tsv"
    conda:
        "../../envs/mmclip.yaml"
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        results=RESULTS,
        shards=" ".join(SHARDS),
        languages=" ".join(LANGUAGES),
        code=code("filter"),
    shell:
        "python -m mmclip measure-filter --sentences {params.results}/filter/filtered/sentences --translations {params.results}/translate --languages '{params.languages}' --shards '{params.shards}' -o {output} > {log} 2>&1"
