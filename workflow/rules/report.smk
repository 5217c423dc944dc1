rule report:
    """One page with everything that was measured."""
    input:
        metrics=expand(
            "<results>/evaluate/{experiment}/{task}/{dataset}/{file}",
            experiment=ALIGNED,
            task=TASKS,
            dataset=config["evaluate"]["benchmarks"],
            file=("metrics.json", "predictions.parquet"),
        ),
        models=expand("<results>/pretrain/{experiment}", experiment=ALIGNED),
        text_models=expand("<results>/pretrain_text/{experiment}", experiment=TEXT_MODELS),
        targets="<results>/disambiguate/targets.parquet",
        ingested=expand("<results>/ingest/{dataset}", dataset=DATASETS),
        labels=expand(
            "<results>/label/{shard}.{table}.parquet",
            shard=SHARDS,
            table=("labels", "sentence_labels"),
        ),
        filtered=expand(
            "<results>/filter/filtered/{table}/{language}/{shard}.parquet",
            table=("sentences", "corpus", "rejected"),
            language=LANGUAGES,
            shard=SHARDS,
        ),
        faults="<results>/filter/filtered/faults_report.json",
        agreement=agreement,
        real=real_result,
    output:
        report("<results>/report/report.html", caption="../report/report.rst", category="Report"),
    log:
        "<results>/logs/report.log",
    benchmark:
        "<results>/benchmarks/report.tsv"
    conda:
        "../../envs/mmclip.yaml"
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        settings=settings("report"),
        parts=run_parts,
        results=lambda wildcards, output: Path(output[0]).parents[1],
        code=code("report"),
    shell:
        "python -m mmclip report {params.results} --parts {params.parts:q} --settings {params.settings:q}"
        " -o {output} > {log} 2>&1"
