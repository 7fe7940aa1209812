"""From the settings to what the app package says about the bot."""

from __future__ import annotations

from urllib.parse import urlsplit

from bridge.admin.app_package import AppDetails
from bridge.core.commands import COMMANDS
from bridge.settings import Settings
from bridge.teams.clouds import CLOUDS


def app_details(settings: Settings) -> AppDetails:
    """The details of the app package; the commands are the bridge's own table."""
    host = urlsplit(settings.public_url).hostname if settings.public_url else None
    return AppDetails(
        app_id=settings.app_id,
        name=settings.app_name,
        developer_name=settings.app_developer,
        website_url=settings.app_website,
        privacy_url=settings.app_privacy or settings.app_website,
        terms_url=settings.app_terms or settings.app_website,
        public_host=host,
        # where Teams exchanges no files with bots, an app that claims it would only promise what fails
        supports_files=settings.cloud == "custom" or CLOUDS[settings.cloud].exchanges_files,
        commands=tuple((info.word, info.about) for info in COMMANDS),
    )
