"""A script's arguments, as `ARGS` gives them."""

from __future__ import annotations

__all__ = ["script_globals"]

PLAIN = bytes(byte for byte in range(32, 127) if byte not in b'"\\')
_escapes: list[bytes] = []  # by byte; made when first needed


def _quoted(text: str) -> bytes:
    """A Lua string literal of any bytes."""
    data = text.encode("utf-8", "surrogateescape")
    if data.translate(None, PLAIN):
        if not _escapes:
            _escapes.extend(bytes((byte,)) if byte in PLAIN else b"\\%03d" % byte for byte in range(256))
        data = b"".join(map(_escapes.__getitem__, data))
    return b'"%b"' % data


def _literal(text: bytes) -> bytes:
    """A Lua literal of a JSON text: a long bracket, which no line break of the text's own is in."""
    marks = b"="
    while b"]" + marks + b"]" in text or text.endswith(b"]" + marks):
        marks += b"="
    return b"[%b[%b]%b]" % (marks, text, marks)


def script_globals(name: str, args: list[str], named: bytes | None = None) -> bytes:
    """Lua that sets `ARGS`, `Args` and `arg`: [0] the script, [1] … the arguments, and `name` for `--name value`.

    `--name=value` gives the same; a `--name` that is followed by another option or by nothing is true.
    named: a JSON object on one line, whose members are fields too, over those of the arguments.
    """
    lines = [b"local a = { [0] = " + _quoted(name) + b" }"]
    for index, arg in enumerate(args, 1):
        lines.append(b"a[%d] = %s" % (index, _quoted(arg)))
    for index, arg in enumerate(args):
        if not arg.startswith("--") or len(arg) == 2:
            continue
        key, equals, value = arg[2:].partition("=")
        if equals:
            lines.append(b"a[%s] = %s" % (_quoted(key), _quoted(value)))
        elif index + 1 < len(args) and not args[index + 1].startswith("--"):
            lines.append(b"a[%s] = %s" % (_quoted(key), _quoted(args[index + 1])))
        else:
            lines.append(b"a[%s] = true" % _quoted(key))
    if named is not None:
        lines.append(b"for name, value in next, JSON.parse(%b) do a[name] = value end" % _literal(named))
    lines.append(b"ARGS, Args, arg = a, a, a")
    return b"\n".join(lines)
