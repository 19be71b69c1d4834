"""What a package index shows of a release: its links, and a README whose links lead somewhere."""

import re
import subprocess
import sys
from email import message_from_string
from email.message import Message
from os import environ
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = "https://forge.example/owner/private-key-jwt"

# Asks the build backend for the metadata, as an installer does before it builds anything.
_METADATA = "import sys; from hatchling.build import *; print(prepare_metadata_for_build_wheel(sys.argv[1]))"


def metadata(folder: Path, project: str) -> Message:
    """Return the metadata of the package as it is built with `PROJECT_URL` set to `project`."""
    subprocess.run(
        [sys.executable, "-c", _METADATA, str(folder)],
        cwd=ROOT,
        env={**environ, "PROJECT_URL": project},
        check=True,
        capture_output=True,
    )
    [found] = folder.glob("*.dist-info/METADATA")
    return message_from_string(found.read_text("utf-8"))


@pytest.mark.parametrize("project", [PROJECT, f"{PROJECT}/"])
def test_a_release_links_to_its_source_and_to_where_a_hole_is_reported(tmp_path: Path, project: str) -> None:
    links = metadata(tmp_path, project).get_all("Project-URL")
    assert links is not None
    assert f"Source, {PROJECT}" in links
    assert f"Report a vulnerability, {PROJECT}/security/advisories/new" in links


def test_no_link_of_a_released_readme_is_relative(tmp_path: Path) -> None:
    released = metadata(tmp_path, PROJECT)
    tag, readme = f"v{released['Version']}", str(released.get_payload())
    targets = re.findall(r'\]\(([^)\s]+)\)|src(?:set)?="([^"]+)"', readme)
    assert targets
    assert [target for target in map("".join, targets) if not target.startswith("https://")] == []
    assert f"]({PROJECT}/blob/{tag}/SECURITY.md)" in readme
    assert f"]({PROJECT}/tree/{tag}/tests/examples/portal_sso)" in readme


def test_a_build_from_a_clone_names_no_address(tmp_path: Path) -> None:
    built = metadata(tmp_path, "")
    assert built.get_all("Project-URL") is None
    assert built.get_payload() == (ROOT / "README.md").read_text("utf-8")
