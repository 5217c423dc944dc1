rule report:
    """One page with everything that was measured."""
    input:
        metrics=expand(
            "<results>/evaluate/{experiment}/{task}/{dataset}/metrics.json",
            experiment=ALIGNED,
            task=TASKS,
            dataset=config["evaluate"]["benchmarks"],
        ),
        text_models=expand("<results>/pretrain_text/{experiment}", experiment=TEXT_MODELS),
        targets="<results>/disambiguate/targets.parquet",
        faults="<results>/filter/filtered/faults_report.json",
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
        results=lambda wildcards, output: Path(output[0]).parents[1],
        code=code("report"),
    shell:
        "python -m mmclip report {params.results} --settings {params.settings:q} -o {output} > {log} 2>&1"
