"""llmspell: a runtime for Lua scripts that drive language models.

The public names are loaded on first use, so that importing llmspell costs nothing.
"""

from __future__ import annotations

from llmspell._version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from llmspell.agents.agent import Agent as Agent
    from llmspell.agents.base import BaseAgent as BaseAgent
    from llmspell.agents.meter import Meter as Meter
    from llmspell.agents.provided import AgentProvider as AgentProvider
    from llmspell.bridge.runtime import ScriptResult as ScriptResult
    from llmspell.bridge.runtime import ScriptRuntime as ScriptRuntime
    from llmspell.errors import LLMSpellError as LLMSpellError
    from llmspell.providers.tape.sessions import record as record
    from llmspell.providers.tape.sessions import replay as replay
    from llmspell.tools.function import tool as tool
    from llmspell.tools.registry import ToolRegistry as ToolRegistry
    from llmspell.types.agent import AgentInput as AgentInput
    from llmspell.types.agent import AgentOutput as AgentOutput
    from llmspell.types.media import Media as Media
    from llmspell.types.media_content import MediaContent as MediaContent
    from llmspell.types.media_formats import AudioFormat as AudioFormat
    from llmspell.types.media_formats import AudioMetadata as AudioMetadata
    from llmspell.types.media_formats import ImageFormat as ImageFormat
    from llmspell.types.media_formats import ImageMetadata as ImageMetadata
    from llmspell.types.media_formats import VideoFormat as VideoFormat
    from llmspell.types.media_formats import VideoMetadata as VideoMetadata
    from llmspell.types.messages import Message as Message
    from llmspell.types.streaming import AgentChunk as AgentChunk
    from llmspell.types.streaming import AgentStream as AgentStream
    from llmspell.types.tools import ResponseSchema as ResponseSchema
    from llmspell.types.tools import ToolSpec as ToolSpec
    from llmspell.types.usage import Usage as Usage
    from llmspell.workflows.steps import Step as Step
    from llmspell.workflows.workflow import Workflow as Workflow

_HOME = {
    "Agent": "agents.agent",
    "AgentChunk": "types.streaming",
    "AgentInput": "types.agent",
    "AgentOutput": "types.agent",
    "AgentProvider": "agents.provided",
    "AgentStream": "types.streaming",
    "AudioFormat": "types.media_formats",
    "AudioMetadata": "types.media_formats",
    "BaseAgent": "agents.base",
    "ImageFormat": "types.media_formats",
    "ImageMetadata": "types.media_formats",
    "LLMSpellError": "errors",
    "Media": "types.media",
    "MediaContent": "types.media_content",
    "Message": "types.messages",
    "Meter": "agents.meter",
    "ResponseSchema": "types.tools",
    "ScriptResult": "bridge.runtime",
    "ScriptRuntime": "bridge.runtime",
    "Step": "workflows.steps",
    "ToolRegistry": "tools.registry",
    "ToolSpec": "types.tools",
    "Usage": "types.usage",
    "VideoFormat": "types.media_formats",
    "VideoMetadata": "types.media_formats",
    "Workflow": "workflows.workflow",
    "record": "providers.tape.sessions",
    "replay": "providers.tape.sessions",
    "tool": "tools.function",
}

__all__ = [
    "Agent",
    "AgentChunk",
    "AgentInput",
    "AgentOutput",
    "AgentProvider",
    "AgentStream",
    "AudioFormat",
    "AudioMetadata",
    "BaseAgent",
    "ImageFormat",
    "ImageMetadata",
    "LLMSpellError",
    "Media",
    "MediaContent",
    "Message",
    "Meter",
    "ResponseSchema",
    "ScriptResult",
    "ScriptRuntime",
    "Step",
    "ToolRegistry",
    "ToolSpec",
    "Usage",
    "VideoFormat",
    "VideoMetadata",
    "Workflow",
    "__version__",
    "record",
    "replay",
    "tool",
]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"llmspell.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
