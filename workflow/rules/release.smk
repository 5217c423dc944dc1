rule release:
    """An aligned model's folder with all that was measured of it, its prompts and its licences: what one keeps."""
    input:
        model="<results>/pretrain/{experiment}",
        metrics=expand(
            "<results>/evaluate/{{experiment}}/{task}/{dataset}/metrics.json",
            task=TASKS,
            dataset=config["evaluate"]["benchmarks"],
        ),
        benchmarks=expand(
            f"<results>/benchmarks/{{dataset}}.{config['evaluate']['split']}.json",
            dataset=config["evaluate"]["benchmarks"],
        ),
    output:
        directory("<results>/release/{experiment}"),
    log:
        "<results>/logs/release/{experiment}.log",
    benchmark:
        "<results>/benchmarks/release/{experiment}.tsv"
    conda:
        "../../envs/mmclip.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        engines=translated_by,
        labels=", else ".join(config["disambiguate"]["label_sources"]),
        code=code("release"),
    shell:
        "python -m mmclip release {input.model}/model --metrics '{input.metrics}' --benchmark '{input.benchmarks}'"
        " {params.engines} --labels-from '{params.labels}' -o {output} > {log} 2>&1"
