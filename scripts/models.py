"""Makes providers/models_data.py of providers/models.toml: `python scripts/models.py`, after each change."""

from __future__ import annotations

import pprint
import tomllib
from pathlib import Path
from typing import Any

PROVIDERS = Path(__file__).parent.parent / "src" / "llmspell" / "providers"
HEAD = '''"""The catalogue as Python: made of models.toml by scripts/models.py; change that, and run this."""

# fmt: off
# ruff: noqa: E501

from __future__ import annotations

from typing import Any

__all__ = ["SERVICES"]

'''


def module(toml: str) -> str:
    """The text of models_data.py."""
    services: dict[str, dict[str, Any]] = {name: service["models"] for name, service in tomllib.loads(toml).items()}
    lines = [HEAD, "SERVICES: dict[str, dict[str, dict[str, Any]]] = {\n"]
    for name, models in services.items():
        lines.append(f'    "{name}": {{\n')
        for model, row in models.items():
            told = pprint.pformat(row, width=10_000, sort_dicts=False).replace("'", '"')
            lines.append(f'        "{model}": {told},\n')
        lines.append("    },\n")
    lines.append("}\n")
    return "".join(lines)


if __name__ == "__main__":
    made = module((PROVIDERS / "models.toml").read_text(encoding="utf-8"))
    (PROVIDERS / "models_data.py").write_text(made, encoding="utf-8")
