"""A conversation as OpenAI's chat dialect has it: texts, media, calls and their results. Source: WIRE.md §4, §9 to §11.

A service is told of by its row in `vendors.toml`. What it is not known to take is refused before anything is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell.errors import NotSupportedError
from llmspell.providers.asking import arguments_of, call_id, failed_text, place_of, refused, results_first, web_address

if TYPE_CHECKING:
    from llmspell.providers.base import ModelCall
    from llmspell.providers.vendors import Vendor
    from llmspell.types.media import Media, Part
    from llmspell.types.messages import Message, ToolCall

__all__ = ["messages"]

#: The words for kinds of sound that are not their type's own.
SOUNDS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav", "mp4": "m4a", "x-m4a": "m4a"}
NAMES = {"image": "images", "audio": "sound", "file": "files", "video": "video"}
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def messages(call: ModelCall, vendor: Vendor) -> list[dict[str, Any]]:
    """The messages of *call*. Results come right after the turn that asked for them, each in a message of its own, and
    what of them only the user may say after all of these. Raises NotSupportedError for media that are not taken.
    """
    told: list[dict[str, Any]] = []
    beside: list[dict[str, Any]] = []  # parts of results that a tool's message cannot hold
    for place, message in results_first(call.messages):
        if beside and message.role != "tool":
            told.append({"role": "user", "content": beside})
            beside = []
        if message.role == "tool":
            told.append(_result(message, place, vendor, beside))
        elif message.role == "assistant":
            told.append(_answer(message, place, vendor))
        else:
            told.append({"role": message.role, "content": _content(message, place, vendor)})
    if beside:
        told.append({"role": "user", "content": beside})
    return told


def _content(message: Message, place: int, vendor: Vendor) -> str | list[dict[str, Any]]:
    """A text as it is; parts where there are media among them."""
    if not message.media:
        return message.text
    if message.role != "user":
        words = "text from the system" if message.role == "system" else "text as what the model said"
        number, media = _first(message)
        raise refused(media, place_of(place, number), words)
    return [_part(part, place_of(place, number), vendor) for number, part in enumerate(message.content) if part]


def _first(message: Message) -> tuple[int, Media]:
    return next((number, part) for number, part in enumerate(message.content) if not isinstance(part, str))


def _answer(message: Message, place: int, vendor: Vendor) -> dict[str, Any]:
    told: dict[str, Any] = {"role": "assistant", "content": _content(message, place, vendor)}
    kept = message.native.get("chat")
    kept = kept if isinstance(kept, dict) else {}
    if message.tool_calls:
        told["content"] = message.text or None
        told["tool_calls"] = [_tool_call(call, vendor) for call in message.tool_calls]
        extra = kept.get("calls")
        if vendor.keeps == "extra_content" and isinstance(extra, dict):
            for call, one in zip(message.tool_calls, told["tool_calls"], strict=True):
                if call.id in extra:
                    one["extra_content"] = extra[call.id]
    if vendor.keeps and kept.get(vendor.keeps):
        told[vendor.keeps] = kept[vendor.keeps]
    return told


def _tool_call(call: ToolCall, vendor: Vendor) -> dict[str, Any]:
    if call.raw and call.arguments == {"input": call.raw}:  # of a tool that takes plain text
        return {"id": _id(call.id, vendor), "type": "custom", "custom": {"name": call.name, "input": call.raw}}
    return {
        "id": _id(call.id, vendor),
        "type": "function",
        "function": {"name": call.name, "arguments": arguments_of(call)},
    }


def _id(told: str, vendor: Vendor) -> str:
    """A call's id as the service takes it: the same for a call and its result."""
    if vendor.ids == "forty":
        return call_id(told, 40) if len(told) > 40 else told
    if vendor.ids != "nine" or (len(told) == 9 and told.isascii() and told.isalnum()):
        return told
    from hashlib import sha256

    return "".join(ALPHABET[byte % 62] for byte in sha256(told.encode("utf-8", "replace")).digest()[:9])


def _result(message: Message, place: int, vendor: Vendor, beside: list[dict[str, Any]]) -> dict[str, Any]:
    """What a tool gave; what its message cannot hold is laid beside it, under its id."""
    id_ = _id(message.tool_call_id or "", vendor)
    told: dict[str, Any] = {"role": "tool", "content": failed_text(message), "tool_call_id": id_}
    media = message.media
    if media and all(one.kind in vendor.result_media for one in media):
        parts = [_part(part, place_of(place, number), vendor) for number, part in enumerate(message.content) if part]
        if message.is_error:
            parts.insert(0, {"type": "text", "text": "Error:"})
        told["content"] = parts
    elif media:
        told["content"] = told["content"] or "It is in the user's message after this."
        beside.append({"type": "text", "text": f"From the tool call {id_}:"})
        beside += [
            _part(part, place_of(place, number), vendor)
            for number, part in enumerate(message.content)
            if not isinstance(part, str)
        ]
    return told


def _part(part: Part, place: str, vendor: Vendor) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    kind = part.kind
    if kind not in vendor.takes:
        raise refused(part, place, ", ".join(["text", *(NAMES[one] for one in vendor.takes)]))
    if kind == "image":
        image = {"url": web_address(part, place)}
        return {"type": "image_url", "image_url": image | ({"detail": part.detail} if part.detail else {})}
    if kind == "video":
        return {"type": "video_url", "video_url": {"url": web_address(part, place)}}
    if kind == "audio":
        return {"type": "input_audio", "input_audio": {"data": _bytes(part, place), "format": _sound(part)}}
    return _file(part, place, vendor)


def _sound(media: Media) -> str:
    minor = media.mime_type.partition(";")[0].rpartition("/")[2].strip().lower()
    return SOUNDS.get(minor, minor.removeprefix("x-"))


def _file(media: Media, place: str, vendor: Vendor) -> dict[str, Any]:
    if vendor.files == "document_url":
        return {"type": "document_url", "document_url": web_address(media, place)}
    if vendor.files == "file_url":
        return {"type": "file_url", "file_url": {"url": web_address(media, place)}}
    if vendor.files != "file-or-url":
        _bytes(media, place)
    name = media.filename or ("file.pdf" if media.mime_type.lower().startswith("application/pdf") else "file")
    return {"type": "file", "file": {"filename": name, "file_data": web_address(media, place)}}


def _bytes(media: Media, place: str) -> str:
    """The bytes, as bare base64: where the service fetches nothing itself."""
    web_address(media, place)
    if media.data is None:
        raise NotSupportedError(f"the service takes no address as {place}", hint="give it `data`: the bytes themselves")
    return media.base64
