"""README, settings page and demo page agree with the code and the files of the repository."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_pages_of_settings_and_phrases_agree_with_the_code() -> None:
    tool = [sys.executable, str(ROOT / "docs" / "generated_tables.py"), "--check"]

    checked = subprocess.run(tool, cwd=ROOT, check=False, capture_output=True, text=True)

    assert checked.returncode == 0, f"run `python docs/generated_tables.py`\n{checked.stderr}"


def test_every_file_the_readme_points_to_exists() -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", README) + re.findall(r"`(tests/[\w/]+\.py)`", README)
    targets += re.findall(r'src="([^"]+)"', README)

    missing = [target for target in targets if not (ROOT / target).exists()]

    assert targets
    assert missing == []


def test_every_guarantee_names_its_test() -> None:
    rows = re.findall(r"^\| (\d) \| \*\*.*\| `(tests/[^`]+)` \|$", README, flags=re.MULTILINE)

    assert [number for number, _ in rows] == ["1", "2", "3", "4", "5", "6", "7"]


def test_the_changelog_has_the_version_of_the_package() -> None:
    from bridge import __version__  # noqa: PLC0415  the other tests need no import of the package

    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
