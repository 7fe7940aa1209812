"""One module for each language, called by its tag (`vi`), with its sentences in `TEXTS`; adding one adds the language.

A sentence tells what happened and what to do, in words for people who know nothing of gateways. Errors have their
sentence under their metric label. `{name}` holes are filled by `texts.say`; Markdown, commands and holes are the same
in every language.
"""
