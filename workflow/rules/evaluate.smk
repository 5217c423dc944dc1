rule benchmark:
    """Who is in the test, in which class, and what the text tower is asked: an artefact with hashes."""
    input:
        ingest=RESULTS + "/ingest/{dataset}",
        corpus=lambda wildcards: benchmark_corpus(wildcards.dataset),
    output:
        RESULTS + "/benchmarks/{dataset}.{split}.json",
    log:
        RESULTS + "/logs/benchmark/{dataset}.{split}.log",
    benchmark:
        RESULTS + "/benchmarks/benchmark/{dataset}.{split}.tsv"
    conda:
        "../../envs/mmclip.yaml"
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        settings=settings("evaluate"),
        languages=lambda wildcards: " ".join(LANGUAGES),
        corpus=lambda wildcards, input: f"--corpus {RESULTS}/filter/filtered/corpus" if input.corpus else "",
        shards=lambda wildcards: " ".join(s for s in SHARDS if DATASET_OF[s] == wildcards.dataset),
        engine=config["translate"]["engine"],
        code=code("evaluate"),
    shell:
        "python -m mmclip benchmark {wildcards.dataset} {input.ingest} --split {wildcards.split} --languages '{params.languages}'"
        " {params.corpus} --shards '{params.shards}' --engine {params.engine} --settings {params.settings:q} -o {output} > {log} 2>&1"


rule evaluate:
    """Measure one aligned model by one task on one data set."""
    input:
        model=RESULTS + "/pretrain/{experiment}",
        packs=RESULTS + "/pack/{dataset}",
        benchmarks=lambda wildcards: expand(RESULTS + "/benchmarks/" + wildcards.dataset + ".{split}.json", split=SPLITS_OF[wildcards.task]),
    output:
        metrics=RESULTS + "/evaluate/{experiment}/{task}/{dataset}/metrics.json",
        predictions=RESULTS + "/evaluate/{experiment}/{task}/{dataset}/predictions.parquet",
    log:
        RESULTS + "/logs/evaluate/{experiment}/{task}/{dataset}.log",
    benchmark:
        RESULTS + "/benchmarks/evaluate/{experiment}/{task}/{dataset}.tsv"
    conda:
        "../../envs/mmclip.yaml"
    threads: config["threads"]["train"]
    resources:
        mem_mb=8000,
        runtime=120,
        gpu=1,
    params:
        settings=settings("evaluate"),
        seed=config["seed"],
        code=code("evaluate"),
    shell:
        "python -m mmclip evaluate {input.model}/model --task {wildcards.task} --data '{input.benchmarks}' --packs '{input.packs}'"
        " --experiment {wildcards.experiment} --seed {params.seed} --settings {params.settings:q}"
        " --predictions {output.predictions} -o {output.metrics} > {log} 2>&1"
