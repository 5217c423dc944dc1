localrules:
    plan,


rule plan:
    """Say what the run will cost, before anything is spent."""
    output:
        "<results>/reproduce_3mclip/cost.txt",
    log:
        "<results>/logs/plan.log",
    benchmark:
        "<results>/benchmarks/plan.tsv"
    priority: 100
    conda:
        "../../envs/mmclip.yaml"
    threads: os.cpu_count()  # of which Snakemake gives it as many as the run has
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        config=whole_config,
        code=code("plan"),
    shell:
        "python -m mmclip plan --configfile {params.config:q} --cores {threads} 2> {log} | tee {output}"


rule reproduce_3mclip:
    """The published table beside ours, from the path of MIMIC-CXR; with config/reproduce_3mclip.yaml."""
    input:
        cost="<results>/reproduce_3mclip/cost.txt",
        metrics=reproduced,
    output:
        table="<results>/reproduce_3mclip/table.md",
        rows="<results>/reproduce_3mclip/table.json",
    log:
        "<results>/logs/reproduce_3mclip.log",
    benchmark:
        "<results>/benchmarks/reproduce_3mclip.tsv"
    conda:
        "../../envs/mmclip.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        config=whole_config,
        results=lambda wildcards, output: Path(output.table).parents[1],
        code=code("reproduce_3mclip"),
    shell:
        "python -m mmclip reproduction {params.results} --configfile {params.config:q} -o {output.table} > {log} 2>&1"
        " && cat {output.table}"
