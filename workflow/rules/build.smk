rule build:
    """Compile the fused loss, or write down why plain PyTorch serves."""
    output:
        "<results>/build/ext.json",
    log:
        "<results>/logs/build.log",
    benchmark:
        "<results>/benchmarks/build.tsv"
    conda:
        "../../envs/mmclip.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        code=code("build"),
    shell:
        "python -m mmclip build -o {output} > {log} 2>&1"
