"""The docs as a site: strict, nothing from elsewhere, for phones too; and its Python runs."""

import re
from pathlib import Path

import pytest
from undrawn import draw_nothing

CHECKOUT = Path(__file__).resolve().parents[1]
PAGES = ("index", "protocols", "python", "deploying", "reference/objects", "experiments/index")


@pytest.mark.slow
def test_python_of_the_api_page_runs(monkeypatch, tmp_path, demo_root, demo_store, client):
    draw_nothing(monkeypatch)
    monkeypatch.setenv("SER_DEMO_ROOT", str(demo_root))
    monkeypatch.setenv("SER_STORE", str(demo_store))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    page = (CHECKOUT / "docs" / "python.md").read_text(encoding="utf-8")
    scripts = re.findall(r"^```python\n(.*?)^```", page, re.S | re.M)
    assert len(scripts[0].strip().splitlines()) <= 11  # ten, and a blank one
    names = {}
    for script in scripts:
        exec(script, names)
    assert names["outcome"].metrics["test_uar"] != names["other"].metrics["test_uar"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Folder of the built site; a warning is an error."""
    pytest.importorskip("mkdocstrings", reason="the extra docs")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("site")
    build(load_config(str(CHECKOUT / "mkdocs.yml"), site_dir=str(folder), strict=True))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_site_stands_alone(site, open_page, width):
    for name in PAGES:
        page = open_page(site / f"{name}.html", width=width)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert [url for url in page.requested if not url.startswith(("file:", "blob:"))] == []
    page.keyboard.press("f")  # to the search
    page.keyboard.type("reliability of confidences")
    page.locator(".md-search-result__item").first.wait_for()


@pytest.mark.slow
def test_reference_has_what_its_pages_name(site):
    for page in sorted((CHECKOUT / "docs" / "reference").glob("*.md")):
        shown = (site / "reference" / f"{page.stem}.html").read_text(encoding="utf-8")
        for name, options in re.findall(
            r"^::: (\S+)((?:\n +.*)*)", page.read_text(encoding="utf-8"), re.M
        ):
            members = re.search(r"members: \[(.*)\]", options)
            for member in members[1].split(", ") if members else [""]:
                assert f'id="{name}.{member}"'.replace('."', '"') in shown
