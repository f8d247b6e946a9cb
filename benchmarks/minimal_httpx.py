"""The minimal httpx script: what one would write by hand to show a streamed answer. A process of its own.

    python benchmarks/minimal_httpx.py http://127.0.0.1:PORT/v1 ready-200 [STREAMS]

Where rich and click are installed, as they are beside llmspell, httpx imports them for its own command line, and takes
half as long again. Who writes such a script need not have them, so here they are kept out: the harder comparison.
"""

import asyncio
import json
import sys

sys.modules["httpx._main"] = None  # type: ignore[assignment]

import httpx  # noqa: E402


async def many(url: str, model: str, streams: str) -> None:
    """The same of many answers at once: prints how many texts came."""
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "go"}]}
    count = 0

    async def one(client: httpx.AsyncClient) -> None:
        nonlocal count
        async with client.stream("POST", f"{url}/chat/completions", json=body) as response:
            response.raise_for_status()
            async for line in response.aiter_lines():
                if line.startswith("data: ") and line != "data: [DONE]":
                    count += bool(json.loads(line[6:])["choices"][0]["delta"].get("content"))

    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=None), timeout=None) as client:
        await asyncio.gather(*(one(client) for _ in range(int(streams))))
    print(count)


async def main(url: str, model: str) -> None:
    """Prints the answer as it comes."""
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "go"}]}
    async with (
        httpx.AsyncClient() as client,
        client.stream("POST", f"{url}/chat/completions", json=body) as response,
    ):
        response.raise_for_status()
        async for line in response.aiter_lines():
            if not line.startswith("data: ") or line == "data: [DONE]":
                continue
            text = json.loads(line[6:])["choices"][0]["delta"].get("content")
            if text:
                print(text, end="", flush=True)


if __name__ == "__main__":
    asyncio.run(many(*sys.argv[1:]) if len(sys.argv) > 3 else main(*sys.argv[1:]))
