"""Give a released package the address of its forge, which the tree itself does not know.

The release workflow names the repository in `PROJECT_URL` (`https://forge.example/owner/private-key-jwt`). With it the
package has its links (`project.urls`), and the README's links to files of the tree, which mean nothing on a package
index, lead to those files at the release's tag. Without it nothing is invented: no links, and the README as it stands.
"""

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

# `](path#fragment)`, and the `src` or `srcset` of a picture.
_LINK = re.compile(r"""(?P<before>\]\(|src(?:set)?=")(?P<path>[\w./-]+)(?P<after>(?:#[\w-]+)?[)"])""")


def urls(project: str, tag: str) -> dict[str, str]:
    """Return the links of the package, as a package index shows them."""
    return {
        "Source": project,
        "Changelog": f"{project}/blob/{tag}/CHANGELOG.md",
        "Issues": f"{project}/issues",
        "Report a vulnerability": f"{project}/security/advisories/new",
    }


def absolute(readme: str, root: Path, project: str, tag: str) -> str:
    """Return `readme` with each link to a file, folder or picture under `root` made absolute, at `tag`."""

    def replace(link: re.Match[str]) -> str:
        before, path, after = link.groups()
        if not (root / path).exists():
            return link.group()
        kind = "raw" if path.endswith(".svg") else "tree" if (root / path).is_dir() else "blob"
        return f"{before}{project}/{kind}/{tag}/{path}{after}"

    return _LINK.sub(replace, readme)


class ProjectMetadataHook(MetadataHookInterface):
    """Set `readme` and `urls`, the fields that depend on where the project is published."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set both in `metadata`, by the environment variable `PROJECT_URL`."""
        root, project = Path(self.root), os.environ.get("PROJECT_URL", "").rstrip("/")
        readme, tag = (root / "README.md").read_text("utf-8"), f"v{metadata['version']}"
        if project:
            readme = absolute(readme, root, project, tag)
            metadata["urls"] = urls(project, tag)
        metadata["readme"] = {"content-type": "text/markdown", "text": readme}
