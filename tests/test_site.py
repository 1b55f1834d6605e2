"""The site as far as it can be judged without building it: a whole reference, links that lead."""

import ast
import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import skpoe
from skpoe.estimators.choices import OBJECTIVES

ROOT = Path(__file__).parent.parent
GENERATED = ROOT / "docs" / "reference" / "generated"
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *(p for p in sorted((ROOT / "docs").rglob("*.md")) if GENERATED not in p.parents),
]
MODULES = [
    info.name
    for info in pkgutil.walk_packages(skpoe.__path__, "skpoe.")
    if not any(part.startswith("_") for part in info.name.split("."))
]


def page_id(page):
    return str(page.relative_to(ROOT))


def described():
    """(module, name) of everything that the reference lists."""
    listed = []
    for page in sorted((ROOT / "docs" / "reference").glob("*.md")):
        for block in re.findall(r"```\{eval-rst\}\n(.*?)```", page.read_text(), re.DOTALL):
            module = re.search(r"^\.\. currentmodule:: (\S+)", block, re.MULTILINE)[1]
            names = re.findall(r"^(?:\.\. data:: |   )(\w+)$", block, re.MULTILINE)
            listed += [(module, name) for name in names]
    return listed


LISTED = described()
OBJECTS = [getattr(importlib.import_module(module), name) for module, name in LISTED]


def is_described(thing):
    return any(thing is other for other in OBJECTS)


def test_the_reference_names_nothing_twice():
    assert len(LISTED) > 100
    assert len({id(thing) for thing in OBJECTS}) == len(OBJECTS)


def test_the_reference_names_every_public_name():
    missing = [
        f"{module.__name__}.{name}"
        for module in (skpoe, *map(importlib.import_module, MODULES))
        for name in getattr(module, "__all__", [])
        if not is_described(getattr(module, name))
    ]
    assert not missing, f"docs/reference lacks {missing}"


def imports(source):
    """(module, name) of what a piece of Python takes from this library."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "skpoe":
            yield from ((node.module, alias.name) for alias in node.names)


SOURCES = {
    **{
        page: [e.source for e in doctest.DocTestParser().get_examples(page.read_text())]
        for page in PAGES
    },
    **{path: [path.read_text()] for path in sorted((ROOT / "examples").glob("*.py"))},
}


@pytest.mark.parametrize("path", SOURCES, ids=page_id)
def test_the_reference_names_what_pages_and_examples_import(path):
    for source in SOURCES[path]:
        for module, name in imports(source):
            thing = getattr(importlib.import_module(module), name)
            assert is_described(thing), f"docs/reference lacks {module}.{name}"


def test_equations_name_every_objective_and_estimator():
    table = (ROOT / "docs" / "equations.md").read_text().partition("## Every objective")[2]
    assert re.findall(r'^\| "(\w+)" \|', table, re.MULTILINE) == list(OBJECTIVES)
    assert set(re.findall(r"\[`(\w+)", table)) == {name for name, _ in skpoe.all_estimators()}


def without_code(page):
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page):
    """The names that GitHub, and the site like it, gives to headings."""
    headings = re.findall(r"^#+ +(.+?) *$", without_code(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_to_files_and_headings(page):
    for target in re.findall(r"\]\(<?([^)>\s]+)", without_code(page)):
        if re.match(r"[a-z]+:", target):
            continue  # of another site
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{target}: there is no such file"
        assert not anchor or anchor in anchors(file), f"{target}: there is no such heading"
