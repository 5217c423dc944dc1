def search_page():
    """The search page, where the config asks for one."""
    return [f"{RESULTS}/search/search.html"] if config["search"] else []


SEARCH = config["search"] or {"experiment": "none", "dataset": "none"}


rule search:
    """A page that finds images by a sentence in any language."""
    input:
        model=RESULTS + "/pretrain/" + SEARCH["experiment"],
        packs=expand(RESULTS + "/pack/{dataset}", dataset=SEARCH["dataset"]),
        ingest=expand(RESULTS + "/ingest/{dataset}", dataset=SEARCH["dataset"]),
        benchmark=RESULTS + "/benchmarks/" + SEARCH["dataset"] + ".test.json",
    output:
        RESULTS + "/search/search.html",
    log:
        RESULTS + "/logs/search.log",
    benchmark:
        RESULTS + "/benchmarks/search.tsv"
    conda:
        "../../envs/mmclip.yaml"
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        settings=settings("search"),
        code=code("search"),
    shell:
        "python -m mmclip search {input.model}/model --packs '{input.packs}' --ingest '{input.ingest}' --benchmark {input.benchmark}"
        " --settings {params.settings:q} -o {output} > {log} 2>&1"
