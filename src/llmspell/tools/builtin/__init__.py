"""The built-in tools, one file each; `registry.BUILTIN` names them."""
