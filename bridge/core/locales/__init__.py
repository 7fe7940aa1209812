"""The shipped sentences: a module for each language, named by the language code (`vi`), with the sentences in `TEXTS`.

A new module adds the language. A sentence tells the event and the remedy, in words for people without knowledge of
gateways. An error's sentence stands under the error's metric label. `texts.say` fills the `{name}` fields; Markdown,
commands and fields are the same in every language.
"""
