"""The site: the pages of this folder, the reference from docstrings, a gallery of the examples."""

import skpoe

project = "skpoe"
author = "the skpoe developers"
version = release = skpoe.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # its own copy of MathJax: equations need no network
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]

# Pages are written for GitHub: ```math, and links to headings by the anchors that it makes.
myst_fence_as_directive = ["math"]
myst_heading_anchors = 4

smartquotes = False  # quotes are code here
autodoc_typehints = "none"  # docstrings say it, with shapes
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False  # the template of classes does

# Without plot_gallery examples are shown and not run.
plot_gallery = "False"
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "examples",
    "filename_pattern": "/plot_",
    "doc_module": ("skpoe",),
    "backreferences_dir": "reference/generated/backreferences",
    "download_all_examples": False,
    "show_memory": False,
}

html_theme = "pydata_sphinx_theme"
html_title = f"skpoe {version}"
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "skpoe"},
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}


def _skip_foreign(app, what, name, member, skip, options):
    """Leave what classes inherit from torch and scikit-learn to their own references."""
    home = getattr(getattr(member, "fget", member), "__module__", None) or ""
    return skip or not home.startswith("skpoe")


def setup(app):
    app.connect("autodoc-skip-member", _skip_foreign)
