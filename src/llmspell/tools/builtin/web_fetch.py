"""`web_fetch`: a page as text, with its title and links."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from llmspell.errors import NetworkError
from llmspell.tools.base import Tool, ToolContext, ToolResult
from llmspell.tools.work import COMPUTING, in_thread

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TOOL", "Page"]

MOST_LINKS = 200
UNSEEN = ("script", "style", "noscript", "template", "svg", "head", "iframe", "object")
BLOCKS = (
    "p", "div", "section", "article", "header", "footer", "main", "nav", "aside", "table", "tr", "ul", "ol", "li", "br",
    "hr", "pre", "blockquote", "form", "figure", "figcaption", "dl", "dt", "dd", "h1", "h2", "h3", "h4", "h5", "h6",
)  # fmt: skip


class Page(HTMLParser):
    """What a person would read of a page. links: url and text each."""

    def __init__(self, url: str) -> None:
        super().__init__(convert_charrefs=True)
        self._url = url
        self._title: list[str] = []
        self.links: list[dict[str, str]] = []
        self._pieces: list[str] = []
        self._unseen: list[str] = []
        self._in_title = False
        self._pre = 0
        self._link: tuple[str, list[str]] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "title":
            self._in_title = True
        if tag in UNSEEN:
            self._unseen.append(tag)
        if tag in BLOCKS:
            self._pieces.append("\n")
        if tag == "li":
            self._pieces.append("- ")
        if len(tag) == 2 and tag[0] == "h" and tag[1].isdigit():
            self._pieces.append("#" * int(tag[1]) + " ")
        if tag == "pre":
            self._pre += 1
        if tag == "a" and (address := dict(attrs).get("href")) and len(self.links) < MOST_LINKS:
            self._link = address, []

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        if tag in self._unseen:
            while self._unseen.pop() != tag:
                continue
        if tag in BLOCKS:
            self._pieces.append("\n")
        if tag == "pre" and self._pre:
            self._pre -= 1
        if tag == "a" and self._link is not None:
            (address, texts), self._link = self._link, None
            try:
                whole = urljoin(self._url, address.strip())
            except ValueError:
                return
            if whole.startswith(("http://", "https://")):
                self.links.append({"url": whole, "text": " ".join("".join(texts).split())[:200]})

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self._title.append(data)
        elif not self._unseen:
            self._pieces.append(data if self._pre else " ".join(f"x{data}x".split())[1:-1])
            if self._link is not None:
                self._link[1].append(data)

    @property
    def title(self) -> str:
        return " ".join("".join(self._title).split())

    def text(self) -> str:
        """The text, blank lines between blocks at most one."""
        kept: list[str] = []
        for line in "".join(self._pieces).split("\n"):
            if line.strip() or (kept and kept[-1]):
                kept.append(line.rstrip())
        return "\n".join(kept).strip("\n")


def read_page(url: str, html: str) -> Page:
    """A page that was read to its end, whatever is wrong with it."""
    page = Page(url)
    page.feed(_closed(html))
    page.close()
    return page


def _closed(html: str) -> str:
    """*html* without comments, and without what is begun and never ended.

    The parser looks for the end of each such thing in all that follows: of many, it would take hours.
    """
    pieces: list[str] = []
    at = 0
    while (start := html.find("<!--", at)) >= 0 and (end := html.find("-->", start + 2)) >= 0:
        pieces.append(html[at:start])
        at = end + 3
    last = html.rfind(">") + 1
    rest = html[at : max(last, at)].replace("<!--", "").replace("<![", "<!")
    return "".join([*pieces, rest, html[max(last, at) :].replace("<", "&lt;")])


class WebFetch(Tool):
    name = "web_fetch"
    description = "Fetch a web page and get its text, title and links."
    category = "network"
    needs = ("net",)
    timeout = 120.0
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "url": {"type": "string", "minLength": 1, "description": "https://host/path"},
            "max_length": {"type": "integer", "minimum": 1, "maximum": 1000000, "description": "Characters; 50000."},
            "timeout": {"type": "number", "exclusiveMinimum": 0, "maximum": 600, "description": "Seconds; 30."},
        },
        "required": ["url"],
        "additionalProperties": False,
    }

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        from llmspell.tools.net import fetch

        answer = await fetch(
            "GET",
            arguments["url"],
            permissions=context.permissions,
            by=self.name,
            headers={"accept": "text/html, text/plain;q=0.9, */*;q=0.5"},
            seconds=arguments.get("timeout", 30.0),
        )
        if answer.status >= 400:
            raise NetworkError(f"`{self.name}`: the server answered {answer.status}", status=answer.status)
        kind = answer.headers.get("content-type", "text/html").partition(";")[0].strip().lower()
        text, title, links = answer.text(), "", []
        if kind in ("text/html", "application/xhtml+xml"):
            page = await in_thread(COMPUTING, read_page, answer.url, text)
            text, title, links = page.text(), page.title, page.links
        elif not (kind.startswith("text/") or kind.endswith(("json", "xml", "javascript"))):
            raise NetworkError(f"`{self.name}`: `{kind[:60]}` is no text", hint="`http_request` fetches anything")
        most = arguments.get("max_length", 50_000)
        cut = len(text) > most or answer.truncated
        result = {
            "url": answer.url,
            "status": answer.status,
            "title": title,
            "text": text[:most],
            "content": text[:most],
            "links": links,
            "truncated": cut,
        }
        head = f"# {title}\n\n" if title else ""
        return ToolResult(result, f"{head}{text[:most]}{chr(10) + '(cut here)' if cut else ''}")


TOOL = WebFetch()
