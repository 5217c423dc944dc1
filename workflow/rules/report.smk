rule report:
    """One page with everything that was measured."""
    input:
        metrics=expand(RESULTS + "/evaluate/{experiment}/{task}/{dataset}/metrics.json", experiment=ALIGNED, task=TASKS, dataset=config["evaluate"]["benchmarks"]),
        targets=RESULTS + "/disambiguate/targets.parquet",
        faults=RESULTS + "/filter/filtered/faults_report.json",
    output:
        report(RESULTS + "/report/report.html", caption="../report/report.rst", category="Report"),
    log:
        RESULTS + "/logs/report.log",
    benchmark:
        RESULTS + "/benchmarks/report.tsv"
    conda:
        "../../envs/mmclip.yaml"
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        settings=settings("report"),
        results=RESULTS,
        code=code("report"),
    shell:
        "python -m mmclip report {params.results} --settings {params.settings:q} -o {output} > {log} 2>&1"
