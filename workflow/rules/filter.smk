rule draw_thresholds:
    """Draw the thresholds of a language from a sample of its translations."""
    input:
        expand("<results>/translate/{{language}}/{shard}.parquet", shard=SHARDS),
    output:
        "<results>/filter/thresholds/{language}.json",
    log:
        "<results>/logs/draw_thresholds/{language}.log",
    benchmark:
        "<results>/benchmarks/draw_thresholds/{language}.tsv"
    conda:
        "../../envs/mmclip.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        settings=settings("filter"),
        seed=config["seed"],
        translations=lambda wildcards, input: Path(input[0]).parents[1],
        shards=SHARDS,
        encoder=encoder,
        code=code("draw_thresholds"),
    shell:
        "python -m mmclip draw-thresholds --sentences {params.translations} --language {wildcards.language}"
        " --shards '{params.shards}' --seed {params.seed} --settings {params.settings:q} -o {output} > {log} 2>&1"


rule filter:
    """Score the translations of a shard and keep, drop or reject them."""
    input:
        sentences="<results>/translate/{language}/{shard}.parquet",
        faults="<results>/translate/{language}/{shard}.faults.parquet",
        thresholds=drawn,
    output:
        scored="<results>/filter/{variant}/sentences/{language}/{shard}.parquet",
        corpus="<results>/filter/{variant}/corpus/{language}/{shard}.parquet",
        rejected="<results>/filter/{variant}/rejected/{language}/{shard}.parquet",
    log:
        "<results>/logs/filter/{variant}/{language}/{shard}.log",
    benchmark:
        "<results>/benchmarks/filter/{variant}/{language}/{shard}.tsv"
    conda:
        "../../envs/mmclip.yaml"
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        settings=settings("filter"),
        thresholds=lambda wildcards, input: f"--thresholds {input.thresholds}" if input.thresholds else "",
        encoder=encoder,
        code=code("filter"),
    shell:
        "python -m mmclip filter-shard {input.sentences} --faults {input.faults} --language {wildcards.language}"
        " {params.thresholds} --variant {wildcards.variant} --settings {params.settings:q}"
        " --scored {output.scored} --corpus {output.corpus} --rejected {output.rejected} > {log} 2>&1"


rule measure_filter:
    """Count what the filter rejected of the faults that were injected."""
    input:
        scored=expand(
            "<results>/filter/filtered/sentences/{language}/{shard}.parquet",
            language=LANGUAGES,
            shard=SHARDS,
        ),
        faults=expand(
            "<results>/translate/{language}/{shard}.faults.parquet",
            language=LANGUAGES,
            shard=SHARDS,
        ),
    output:
        "<results>/filter/filtered/faults_report.json",
    log:
        "<results>/logs/measure_filter.log",
    benchmark:
        "<results>/benchmarks/measure_filter.tsv"
    conda:
        "../../envs/mmclip.yaml"
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        sentences=lambda wildcards, input: Path(input.scored[0]).parents[1],
        translations=lambda wildcards, input: Path(input.faults[0]).parents[1],
        shards=SHARDS,
        languages=LANGUAGES,
        code=code("measure_filter"),
    shell:
        "python -m mmclip measure-filter --sentences {params.sentences} --translations {params.translations}"
        " --languages '{params.languages}' --shards '{params.shards}' -o {output} > {log} 2>&1"
