rule benchmark:
    """Who is in the test, in which class, and what the text tower is asked: an artefact with hashes."""
    input:
        ingest="<results>/ingest/{dataset}",
        corpus=benchmark_corpus,
        prompts=prompts,
    output:
        "<results>/benchmarks/{dataset}.{split}.json",
    log:
        "<results>/logs/benchmark/{dataset}.{split}.log",
    benchmark:
        "<results>/benchmarks/benchmark/{dataset}.{split}.tsv"
    conda:
        "../../envs/mmclip.yaml"
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        settings=settings("evaluate"),
        languages=LANGUAGES,
        corpus=lambda wildcards, input: f"--corpus {RESULTS}/filter/filtered/corpus" if input.corpus else "",
        shards=dataset_shards,
        engines=" ".join(f"{code}={'/'.join(engine_chain(code))}" for code in LANGUAGES),
        code=code("benchmark"),
    shell:
        "python -m mmclip benchmark {wildcards.dataset} {input.ingest} --split {wildcards.split}"
        " --languages '{params.languages}' {params.corpus} --shards '{params.shards}' --engine '{params.engines}'"
        " --settings {params.settings:q} -o {output} > {log} 2>&1"


rule evaluate:
    """Measure one aligned model by one task on one data set."""
    input:
        model="<results>/pretrain/{experiment}",
        packs="<results>/pack/{dataset}",
        benchmarks=benchmarks,
    output:
        metrics="<results>/evaluate/{experiment}/{task}/{dataset}/metrics.json",
        predictions="<results>/evaluate/{experiment}/{task}/{dataset}/predictions.parquet",
    log:
        "<results>/logs/evaluate/{experiment}/{task}/{dataset}.log",
    benchmark:
        "<results>/benchmarks/evaluate/{experiment}/{task}/{dataset}.tsv"
    conda:
        "../../envs/mmclip.yaml"
    threads: config["threads"]["evaluate"]
    resources:
        mem_mb=8000,
        runtime=120,
        gpu=min(config["gpus"], 1),
    params:
        settings=settings("evaluate"),
        seed=lambda wildcards: EXPERIMENTS[wildcards.experiment]["seed"],
        code=code("evaluate"),
    shell:
        "python -m mmclip evaluate {input.model}/model --task {wildcards.task} --data '{input.benchmarks}'"
        " --packs '{input.packs}' --experiment {wildcards.experiment} --seed {params.seed}"
        " --settings {params.settings:q} --threads {threads}"
        " --predictions {output.predictions} -o {output.metrics} > {log} 2>&1"
