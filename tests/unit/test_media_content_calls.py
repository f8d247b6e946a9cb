"""MediaContent in calls: what a model is sent, what agents and tools give, and when a file is read."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from llmspell import Agent, AgentInput, AgentOutput, BaseAgent, MediaContent, Message, tool
from llmspell.agents.chat import Chat
from llmspell.errors import LLMSpellError, NotFoundError, ToolError, ValidationError
from llmspell.providers.base import ProviderCapabilities
from llmspell.providers.manager import ProviderManager
from llmspell.providers.mock import MockProvider
from llmspell.tools.base import ToolResult
from llmspell.tools.results import fit
from llmspell.types.media import Media, Referred
from support.loopback import Loopback, reply, sse
from support.media import png, wav

PICTURE = MediaContent.image(png(), filename="a.png", detail="low")


class Small(MockProvider):
    """Takes little, and may be one of several."""

    def capabilities(self, model: str | None = None) -> ProviderCapabilities:
        return super().capabilities(model)._replace(max_media_size=50)


def agent(provider: MockProvider | None = None) -> tuple[Agent, list[Any]]:
    provider = provider or MockProvider(["seen"])
    manager = ProviderManager({}, env={})
    manager.register(provider)
    return Agent("mock", providers=manager), provider.calls


@pytest.fixture
def there(tmp_path: Path) -> Path:
    path = tmp_path / "b.png"
    path.write_bytes(png(4, 4))
    return path


def test_a_builder_takes_media_of_either_kind(there: Path) -> None:
    medium = Media("image/png", png())
    built = (
        AgentInput.builder().text("a").media(PICTURE, medium).media(MediaContent.text("b"))
        .media(MediaContent.from_path(there)).build()
    )  # fmt: skip
    first, second, third, words, last = built.messages[0].content
    assert (first, second, third, words) == ("a", PICTURE.to_media(), medium, "b")
    assert isinstance(last, Referred)
    assert [one.size for one in built.media] == [73, 73, there.stat().st_size]
    assert built.messages[0].text == "ab"


async def test_media_go_along_and_a_file_is_read_when_the_request_is_made(there: Path) -> None:
    asked, calls = agent()
    content = MediaContent.from_path(there, detail="high")
    message = Message("user", ("see", PICTURE, content))
    told = AgentInput.of(message)
    assert told.media[1].data is None
    await asked.execute(told)
    async with asked.stream(message) as stream:
        await stream.collect()
    for call in calls:
        assert call.messages[-1].content == (
            "see", PICTURE.to_media(), Media("image/png", png(4, 4), None, "b.png", "high"),
        )  # fmt: skip
    assert all(type(one) is Media for call in calls for one in call.messages[-1].media)
    os.unlink(there)
    with pytest.raises(NotFoundError, match="is gone"):
        await asked.execute(told)
    assert len(calls) == 2


async def test_a_file_that_changed_is_not_sent(there: Path) -> None:
    asked, calls = agent()
    told = AgentInput.builder().text("see").media(MediaContent.from_path(there)).build()
    os.truncate(there, 20)
    with pytest.raises(ValidationError, match="has changed since it was looked at"):
        await asked.execute(told)
    assert calls == []


async def test_a_file_that_is_too_large_for_a_call_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, calls = agent()
    large = tmp_path / "large.wav"
    head = wav(0)[:40] + (400 << 20).to_bytes(4, "little")
    large.write_bytes(head[:4] + ((400 << 20) + 36).to_bytes(4, "little") + head[8:])
    os.truncate(large, 44 + (400 << 20))
    content = MediaContent.from_path(large)
    monkeypatch.setattr(MediaContent, "to_bytes", lambda *_: pytest.fail("it was read"))
    two = AgentInput.builder().text("hear").media(content, content).build()
    with pytest.raises(ValidationError, match="one call takes at most 536870912"):
        await asked.execute(two)
    small, _ = agent(Small(["seen"]))
    with pytest.raises(ValidationError, match="has 419430444 bytes; mock takes at most 50"):
        await small.execute(AgentInput.builder().text("hear").media(content).build())
    assert calls == []


async def test_a_file_is_read_once_for_a_call_in_which_it_stands_twice(there: Path) -> None:
    asked, calls = agent()
    content = MediaContent.from_path(there)
    await asked.execute(AgentInput.builder().media(content, MediaContent.from_path(there)).build())
    first, second = calls[0].messages[-1].media
    assert first.data is second.data


def test_what_is_no_part_of_a_message_is_told() -> None:
    for wrong in (b"bytes", 3, {"type": "image"}, None):
        with pytest.raises(ValidationError, match="a part of a message is a text, a Media or a MediaContent, not a"):
            AgentInput.builder().media(wrong)
        with pytest.raises(ValidationError, match="a part of a message is"):
            AgentInput.of(Message("user", ("a", wrong)))


async def test_the_service_gets_the_bytes_of_the_file(there: Path) -> None:
    with Loopback([reply(sse(["a picture"]))]) as server:
        providers = ProviderManager({"openai": {"api_key": "k", "base_url": server.url}}, env={})
        async with Agent("openai/gpt-4o-mini", providers=providers) as asked:
            built = AgentInput.builder().text("What?").media(MediaContent.from_path(there)).build()
            async with asked.stream(built) as stream:
                assert (await stream.collect()).text == "a picture"
        await providers.aclose()
        sent = server.requests[0].json["messages"][-1]["content"]
    assert sent[1]["image_url"]["url"] == MediaContent.from_path(there).to_data_url()


async def test_a_conversation_keeps_a_file_by_reference_and_saves_its_bytes(there: Path) -> None:
    asked, calls = agent(MockProvider(["one", "two"]))
    chat = Chat(asked)
    await chat.send(AgentInput.builder().text("see").media(MediaContent.from_path(there)).build())
    await chat.send("and?")
    assert isinstance(chat.messages[0].media[0], Referred)
    assert calls[1].messages[0].media == (Media("image/png", png(4, 4), None, "b.png"),)
    again = Chat.load(asked, chat.save())
    assert again.messages[0].media == (Media("image/png", png(4, 4), None, "b.png"),)


async def test_an_agent_of_one_s_own_gets_media_and_gives_them(there: Path) -> None:
    class Painter(BaseAgent):
        name = "painter"

        async def execute(self, given: AgentInput) -> AgentOutput:
            one = given.media[0].to_content()
            return AgentOutput.of(one.filename or "", one, MediaContent.image(png()))

        def supported_media_types(self) -> tuple[str, ...]:
            return ("image",)

    built = AgentInput.builder().media(MediaContent.from_path(there)).build()
    done = await Painter().answer(built)
    assert done.text == "b.png"
    assert [one.data for one in done.media] == [png(4, 4), png()]
    with pytest.raises(LLMSpellError, match=r"does not read audio/wav"):
        await Painter().answer(AgentInput.builder().media(MediaContent.audio(wav())).build())


async def test_tools_may_give_media(there: Path) -> None:
    @tool
    def draw(many: bool) -> Any:
        """Draws."""
        return [PICTURE, Media("image/png", b"x")] if many else MediaContent.from_path(there)

    from llmspell.tools.base import ToolContext

    context = ToolContext.__new__(ToolContext)
    one = await draw.run({"many": False}, context)
    assert (one.text, one.media) == ("image: image/png", (Media("image/png", png(4, 4), None, "b.png"),))
    two = await draw.run({"many": True}, context)
    assert (two.text, two.media) == (
        "image: image/png, image: image/png", (PICTURE.to_media(), Media("image/png", b"x")),
    )  # fmt: skip


def test_media_of_a_tool_s_result_have_their_bytes(there: Path) -> None:
    content = MediaContent.from_path(there)
    done = fit(ToolResult("ok", media=(content, content.to_part(), PICTURE)), "draw")
    assert [one.data for one in done.media] == [png(4, 4), png(4, 4), png()]
    there.unlink()
    with pytest.raises(ToolError, match=r"`draw` gave a medium without its bytes: .* is gone"):
        fit(ToolResult("ok", media=(content,)), "draw")
    with pytest.raises(ToolError, match="gave a bytes among its media"):
        fit(ToolResult("ok", media=(b"x",)), "draw")


def test_a_medium_of_a_file_is_a_value_like_others(there: Path) -> None:
    part = MediaContent.from_path(there).to_part()
    assert isinstance(part, Referred)
    same, other = MediaContent.from_path(there).to_part(), MediaContent.from_path(there, detail="low").to_part()
    assert part == same
    assert hash(part) == hash(same)
    assert part != other
    assert part != part.loaded()
    assert part.loaded() == Media("image/png", png(4, 4), None, "b.png")
    assert pickle.loads(pickle.dumps(part)) == part
    assert part._replace(filename="c").loaded() == part.loaded()._replace(filename="c")
    assert (part.base64, part.data_url) == (part.loaded().base64, part.loaded().data_url)
    assert part.to_dict() == part.loaded().to_dict()
    assert part.to_content() == MediaContent.from_path(there)
    assert repr(part) == f"Media('image/png', {part.size} bytes in {str(there)!r})"
    assert Message("user", (part,)).to_dict()["content"][0]["data"] == png(4, 4)
