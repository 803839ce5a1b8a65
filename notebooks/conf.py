"""The site: the notebooks as guides, and a reference made of the docstrings.

``sphinx-build -W notebooks build/site`` builds it, with the group ``docs`` of pyproject.toml. It
needs no network: there is no intersphinx, whose inventories would have to be fetched.
"""

from __future__ import annotations

import inspect
from typing import Any

import qmosaic

project = "qmosaic"
author = "the authors of qmosaic"
release = version = qmosaic.__version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_click",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["README.md", "**.ipynb_checkpoints"]  # the folder's own page, for who reads it

# Guides: every build runs them, each in an empty folder; one that fails is an error.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 300  # seconds for one cell
nb_merge_streams = True  # what one cell prints is one output
# a command of the shell that goes on in a second line, which the lexer of IPython does not know
suppress_warnings = ["misc.highlighting_failure"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

# Reference: what stands in single backticks is a link, where there is something to link to.
default_role = "py:obj"
autosummary_generate = False  # the tables link to entries of these pages; no files are made
autodoc_typehints = "none"  # the docstrings tell types, in words that a reader knows
autodoc_member_order = "bysource"
add_module_names = False
toc_object_entries_show_parents = "hide"
maximum_signature_line_length = 88
numpydoc_show_class_members = False  # the pages list them, in groups
numpydoc_class_members_toctree = False
numpydoc_validation_checks = {"PR01", "PR02", "PR03", "PR10"}  # the parameters of the signature
numpydoc_validation_exclude = {
    r"^qmosaic\.ee\.",  # Earth Engine describes its own
    r"^xarray\.",  # shortened below
    r"(Error|Progress|Picture)$",  # given to users, not made by them
}
# A reference into the package has to lead somewhere; what else stands in backticks may be an
# argument, or belong to another library.
nitpicky = True
nitpick_ignore_regex = [(r".*", r"(?!qmosaic\.).*")]

# Pages
html_theme = "pydata_sphinx_theme"
html_title = "qmosaic"
html_show_sourcelink = False
html_copy_source = False
html_domain_indices = False  # of modules: the names are what one looks for
html_context = {"default_mode": "light"}  # what notebooks show (arrays, maps) is made for it
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_sidebars = {
    "index": [],
    "guides": [],
    "[0-9]_*": [],  # room for code and pictures; the guides follow each other
    "reference/**": ["sidebar-nav-bs"],
}
html_theme_options = {
    "navbar_align": "left",
    "navbar_end": [],
    "footer_start": [],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
}
copybutton_exclude = ".linenos, .gp, .go"  # prompts and results are not copied


def shorten(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Point from a method of the accessor to its function, whose text it would repeat."""
    if name.startswith("xarray.") and inspect.isfunction(thing):
        summary = lines[0]
        lines[:] = [summary, "", f"See `qmosaic.{thing.__name__}`.", ""]


def look_in_the_package(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Find ``quality_mosaic`` from a docstring of `qmosaic.scores`, too."""
    if node["reftype"] != "obj" or not node["reftarget"].isidentifier():
        return None
    name = f"qmosaic.{node['reftarget']}"
    python = env.domains.python_domain
    return python.resolve_xref(env, node["refdoc"], app.builder, "obj", name, node, content)


def setup(app: Any) -> None:
    """Connect what is above with Sphinx."""
    app.connect("autodoc-process-docstring", shorten, priority=100)  # before numpydoc
    app.connect("missing-reference", look_in_the_package)
