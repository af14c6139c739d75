"""Sphinx: the site of libgomax, made by site.py."""
import os

project = "libgomax"
author = "the authors of libgomax"
version = release = os.environ["GOMAX_VERSION"]
extensions = ["myst_parser"]
include_patterns = ["index.md", "README.md", "CHANGELOG.md", "SECURITY.md", "HACKING.md", "CONTRIBUTING.md", "docs/*.md", "reference/*.rst"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
root_doc = "index"
myst_heading_anchors = 4
myst_enable_extensions = []
suppress_warnings = [
    "myst.header",  # a page may begin with a small heading
    "misc.highlighting_failure",  # the name of a block, such as ```c run, is for the tests that run it
]
highlight_language = "c"
smartquotes = False
add_function_parentheses = False
html_theme = "furo"
html_title = f"libgomax {version}"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
# Nothing on a page names the machine, the day or the network: it is the same each time, and works from a file.
html_last_updated_fmt = None
