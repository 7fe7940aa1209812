"""The details of the app package follow the settings."""

from __future__ import annotations

import pytest

from bridge.admin.registration import app_details
from bridge.settings.model import Settings

BASE = {
    "TEAMS_APP_ID": "6d2b9f3e-8c1a-4f57-9e0d-2a7c4b5e1f08",
    "TEAMS_APP_PASSWORD": "secret",
    "TEAMS_TENANT_ID": "3f2b8c1e-6a4d-4c7e-9b55-0d1e2f3a4b5c",
    "GOCLAW_URL": "http://127.0.0.1:18790",
    "GOCLAW_TOKEN": "token",
}


@pytest.mark.parametrize(
    ("cloud", "files"),
    [("public", True), ("gcc", True), ("gcc-high", False), ("dod", False), ("china", False), ("custom", True)],
)
def test_the_app_supports_files_in_clouds_with_file_exchange_only(cloud: str, files: bool) -> None:
    assert app_details(Settings.model_validate({**BASE, "TEAMS_CLOUD": cloud})).supports_files is files
