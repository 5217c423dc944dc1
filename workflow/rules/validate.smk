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


rule judge:
    """Have a language model mark the sample, at the address that the config names."""
    input:
        sample="<results>/validate/sample.parquet",
        ingested=expand("<results>/ingest/{dataset}", dataset=DATASETS),
    output:
        "<results>/validate/judged/model.csv",
    log:
        "<results>/logs/judge.log",
    benchmark:
        "<results>/benchmarks/judge.tsv"
    conda:
        "../../envs/mmclip.yaml"
    resources:
        mem_mb=2000,
        runtime=1440,
    params:
        settings=settings("validate"),
        source=SOURCE,
        cards=lambda wildcards, input: [f"{folder}/card.json" for folder in input.ingested],
        code=code("judge"),
    shell:
        "python -m mmclip validate judge {input.sample} --cards '{params.cards}' --source {params.source}"
        " --settings {params.settings:q} -o {output} > {log} 2>&1"


rule agreement:
    """Compare the marks with one another and with the filter: the model's, and people's in validate/judged."""
    input:
        sample="<results>/validate/sample.parquet",
        judged=judged,
    output:
        "<results>/validate/agreement.json",
    log:
        "<results>/logs/agreement.log",
    benchmark:
        "<results>/benchmarks/agreement.tsv"
    conda:
        "../../envs/mmclip.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        settings=settings("validate"),
        code=code("agreement"),
    shell:
        "python -m mmclip validate agreement {input.sample} {input.judged} --settings {params.settings:q}"
        " -o {output} > {log} 2>&1"
