rule search:
    """A page that finds images by a sentence in any language."""
    input:
        model=f"<results>/pretrain/{SEARCH['experiment']}",
        packs=f"<results>/pack/{SEARCH['dataset']}",
        ingest=f"<results>/ingest/{SEARCH['dataset']}",
        benchmark=f"<results>/benchmarks/{SEARCH['dataset']}.test.json",
    output:
        "<results>/search/search.html",
    log:
        "<results>/logs/search.log",
    benchmark:
        "<results>/benchmarks/search.tsv"
    conda:
        "../../envs/mmclip.yaml"
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        settings=settings("search"),
        code=code("search"),
    shell:
        "python -m mmclip search {input.model}/model --packs '{input.packs}' --ingest '{input.ingest}'"
        " --benchmark {input.benchmark} --settings {params.settings:q} -o {output} > {log} 2>&1"
