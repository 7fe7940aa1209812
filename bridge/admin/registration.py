"""Converts Settings into the details of the app package."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlsplit

from bridge.admin.app_languages import DEFAULT_LANGUAGE
from bridge.admin.app_package import AppDetails
from bridge.core.commands import COMMANDS
from bridge.core.texts import languages, say
from bridge.settings.model import Settings
from bridge.teams.clouds import CLOUDS


def app_details(settings: Settings) -> AppDetails:
    """The details of the app package in every language, with the descriptions of core/texts.py in use."""
    host = urlsplit(settings.public_url).hostname if settings.public_url else None
    details = AppDetails(
        app_id=settings.app_id,
        name=settings.app_name,
        developer_name=settings.app_developer,
        website_url=settings.app_website,
        privacy_url=settings.app_privacy or settings.app_website,
        terms_url=settings.app_terms or settings.app_website,
        public_host=host,
        # In clouds without file exchange, an app that claims support would only promise failures.
        supports_files=settings.cloud == "custom" or CLOUDS[settings.cloud].exchanges_files,
    )
    further = [language for language in languages() if language != DEFAULT_LANGUAGE]
    return replace(
        _in_language(details, settings, DEFAULT_LANGUAGE),
        translations=tuple((language, _in_language(details, settings, language)) for language in further),
    )


def _in_language(details: AppDetails, settings: Settings, language: str) -> AppDetails:
    return replace(
        details,
        description_short=say("app_short", language),
        description_full=say("app_full", language),
        starters=tuple((question, say("about_starter", language)) for question in settings.starters),
        commands=tuple((info.word, info.about(language)) for info in COMMANDS),
    )
