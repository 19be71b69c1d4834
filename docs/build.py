"""Build the reference and the guides out of the docstrings: ``python docs/build.py DIRECTORY``.

The extra brings what it needs: ``pip install -e '.[docs]'``. The tool is pdoc: it reads docstrings and ``__all__`` as
they stand and needs no page, navigation or theme beside them, where mkdocstrings wants all three and MkDocs underneath.
Each warning is an error.
"""

from __future__ import annotations

import ast
import pkgutil
import re
import shutil
import sys
import tempfile
import textwrap
import warnings
from importlib import import_module
from pathlib import Path

import django
import pdoc
import pdoc.extract
import pdoc.render
from django.conf import settings
from jinja2 import pass_context
from jinja2.runtime import Context
from pdoc.render_helpers import to_markdown_with_context
from pygments.formatters import HtmlFormatter

import private_key_jwt

_HERE = Path(__file__).parent
# The command line documents itself: `private-key-jwt --help`. What Django finds by its name is nobody's to call.
_LEFT_OUT = re.compile(r"private_key_jwt\.(cli|__main__)\b|.*\._|.*\.(management|migrations|models)\b")
_FOUND_BY_DJANGO = r"!.*\.(management|migrations|models)(\.|$)"


def _specifications() -> list[str]:
    """Name all public modules, but none that pdoc finds by itself in the ``__all__`` of its package."""
    found = [module.name for module in pkgutil.walk_packages(private_key_jwt.__path__, "private_key_jwt.")]
    needed = ["private_key_jwt", "pytest_private_key_jwt"]
    for name in found:
        if not _LEFT_OUT.match(name) and name not in pdoc.extract.walk_specs(needed):
            needed.append(name)
    return [*needed, _FOUND_BY_DJANGO]


@pass_context
def _to_markdown(context: Context, docstring: str) -> str:
    """Make a list of the lines that describe one argument each (``name: text``), and leave the rest to pdoc."""
    plain = re.sub(r"(?m)::$", ":", docstring)  # before an example; Markdown knows it by its indentation
    listed = re.sub(rf"(?m)(?:(?<=\n\n)|\A){_ARGUMENT}.*(?:\n.+)*", _list_arguments, plain)
    defined = re.sub(r"(?m)^(``.+``)\n((?: {4}.+\n?)+)", _list_definition, listed)
    apart = re.sub(r"(?m)^(?!- `)(\S.*\n)(?=- `)", r"\1\n", defined)
    return to_markdown_with_context(context, re.sub(_CODE, _fence_python, apart))


_ARGUMENT = r"([a-z_][a-z_0-9]*(?:, [a-z_0-9]+)*): (?=\S)"


def _list_arguments(match: re.Match[str]) -> str:
    """Make a list of a paragraph that begins with an argument: elsewhere a line may begin with ``so:``, too."""
    return re.sub(rf"(?m)^{_ARGUMENT}", r"- `\1`: ", match[0])


def _list_definition(match: re.Match[str]) -> str:
    """Write a term, and what is indented below it, as an item of a list: Markdown would join all of them."""
    return f"- {match[1]}: {match[2].lstrip()}"


# Lines that are indented behind an empty one.
_CODE = re.compile(r"(?:(?<=\n\n)|\A)((?: {4}.*(?:\n|\Z)|\n(?= {4}))+)")


def _fence_python(match: re.Match[str]) -> str:
    """Name the language of an example, for its colours; and pdoc makes no links out of what it looks like."""
    code = textwrap.dedent(match[1]).rstrip()
    try:
        ast.parse(code)
    except SyntaxError:
        return match[0]
    return f"```python\n{code}\n```\n"


def _import_lazy_names() -> None:
    """Import what a module hands out on demand: pdoc looks only at what is there."""
    for name in pdoc.extract.walk_specs(_specifications()):
        module = import_module(name)
        vars(module).update({each: getattr(module, each) for each in getattr(module, "__all__", ())})


def _configure_django() -> None:
    """Make the modules for Django importable: they define models."""
    applications = [
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "oauth2_provider",
        "private_key_jwt.stores.django",
    ]
    settings.configure(INSTALLED_APPS=applications)
    django.setup()


def build(output: Path) -> None:
    """Write the site to ``output``."""
    _configure_django()
    _import_lazy_names()
    with tempfile.TemporaryDirectory() as directory:
        dark = HtmlFormatter(style="github-dark").get_style_defs(".pdoc-code")
        custom = (_HERE / "custom.css").read_text()
        templates = Path(directory)
        shutil.copy(_HERE / "index.html.jinja2", templates)
        (templates / "custom.css").write_text(f"{custom}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n")
        pdoc.render.configure(docformat="google", show_source=False, template_directory=templates)
        pdoc.render.env.filters["to_markdown"] = _to_markdown
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pdoc.pdoc(*_specifications(), output_directory=output)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
