"""Drives the platform's MCP endpoint with the official SDK, unmodified: python client.py SCENARIO URL TOKEN.

Each function is a scenario of tests/it/mcp.rs. It prints what the test compares, as JSON; a wrong response raises an
exception.
"""

import asyncio
import json
import sys

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

MODES = ["2026-07-28", "auto", "legacy"]


def connect(url, token, mode="auto"):
    http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=60, trust_env=False)
    return Client(streamable_http_client(url, http_client=http), mode=mode, cache=None)


def as_json(tool):
    return tool.model_dump(mode="json", by_alias=True, exclude_none=True)


async def listed(url, token):
    """The tools, which are the same in both revisions."""
    seen = []
    for mode in MODES:
        async with connect(url, token, mode) as client:
            seen.append([as_json(tool) for tool in (await client.list_tools()).tools])
            if mode == "legacy":
                assert client.protocol_version == "2025-11-25", client.protocol_version
            else:
                assert client.protocol_version == "2026-07-28", client.protocol_version
    assert seen[0] == seen[1] == seen[2], seen
    return seen[0]


async def called(url, token):
    """A tool that reads, with its structured result, which the client validates against the output schema."""
    results = []
    for mode in MODES:
        async with connect(url, token, mode) as client:
            result = await client.call_tool("document_list", {"limit": 5})
            assert not result.is_error, result
            assert json.loads(result.content[0].text) == result.structured_content, result
            results.append(result.structured_content)
    assert results[0] == results[1] == results[2], results
    return results[0]


async def refused(url, token):
    """Wrong arguments are a result that says so; an unknown tool is an error of the protocol."""
    for mode in MODES:
        async with connect(url, token, mode) as client:
            wrong = await client.call_tool("document_list", {"tenant": "another"})
            assert wrong.is_error and "arguments" in wrong.content[0].text, wrong
            try:
                await client.call_tool("no_such_tool", {})
            except MCPError as error:
                assert error.error.code == -32602, error
            else:
                raise AssertionError("an unknown tool was called")
    return None


async def write(url, token):
    """A tool that writes waits for approval."""
    arguments = {
        "action": "create_work_order",
        "target": "P-101A",
        "data": {"title": "Replace the seal", "description": "It leaks.", "priority": 2},
    }
    async with connect(url, token) as client:
        result = await client.call_tool("plant_system_write", arguments)
        assert not result.is_error, result
        return result.structured_content


async def write_refused(url, token):
    """A viewer may not ask for a write."""
    arguments = {"action": "create_work_order", "target": "P", "data": {"title": "T", "description": "D", "priority": 1}}
    async with connect(url, token) as client:
        result = await client.call_tool("plant_system_write", arguments)
        assert result.is_error, result
        return result.content[0].text


SCENARIOS = {function.__name__: function for function in [listed, called, refused, write, write_refused]}

if __name__ == "__main__":
    scenario, address, bearer = sys.argv[1:4]
    print(json.dumps(asyncio.run(SCENARIOS[scenario](address, bearer))))
