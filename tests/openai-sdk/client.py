"""Drives OpenAI's own client, unmodified, against the platform: python client.py SCENARIO BASE_URL API_KEY.

Each function is a scenario of tests/it/openai_sdk.rs, which scripts the model behind the platform. A wrong response
raises an exception.
"""

import asyncio
import json
import sys
from array import array

import openai
from openai import AsyncOpenAI, OpenAI

QUESTION = "How often is the strainer of X-9001 cleaned?"
IDS = ["auto", "fast", "fast-direct", "embed"]
TOOL = {
    "type": "function",
    "function": {
        "name": "read_tag",
        "description": "Reads a tag.",
        "parameters": {"type": "object", "properties": {"tag": {"type": "string"}}, "required": ["tag"]},
    },
}


def user(text):
    return [{"role": "user", "content": text}]


def fails_with(kind, call, status=None, code=None):
    try:
        call()
    except kind as error:
        assert status is None or error.status_code == status, error
        assert code is None or error.code == code, (error.code, error)
        return error
    raise AssertionError(f"no {kind.__name__}")


def check_annotation(text, annotation):
    cited = annotation["url_citation"]
    assert annotation["type"] == "url_citation", annotation
    assert text[cited["start_index"] : cited["end_index"]] == "[1]", (text, cited)
    assert cited["url"].startswith("/v1/documents/") and "/content" in cited["url"], cited
    assert cited["title"], cited


def assistant(client):
    """A question about documents, not streamed and streamed, in one conversation."""
    models = client.models.list().data
    assert [model.id for model in models if model.id in IDS] == IDS, models
    assert client.models.retrieve("auto").owned_by == "platform"

    raw = client.chat.completions.with_raw_response.create(model="auto", messages=user(QUESTION))
    conversation = raw.headers["x-conversation-id"]
    answer = raw.parse()
    message = answer.choices[0].message
    assert message.role == "assistant" and "14" in message.content, message
    assert answer.choices[0].finish_reason == "stop" and not message.tool_calls, answer
    assert answer.usage.total_tokens == 28, answer.usage
    assert answer.platform["conversation_id"] == conversation, answer.platform
    assert len(message.annotations) == 1, message
    check_annotation(message.content, message.annotations[0].model_dump())

    stream = client.chat.completions.create(
        model="auto",
        messages=user(QUESTION) + [{"role": "assistant", "content": message.content}] + user("Say it again."),
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"retrieval": "always"},
        extra_headers={"x-conversation-id": conversation},
    )
    assert stream.response.headers["x-conversation-id"] == conversation
    text, annotations, reasons, usage, ids, roles = "", [], [], None, set(), []
    for chunk in stream:
        ids.add((chunk.id, chunk.created, chunk.model, chunk.object))
        if chunk.usage:
            assert chunk.choices == [], chunk
            usage = chunk.usage
            continue
        delta = chunk.choices[0].delta
        text += delta.content or ""
        assert not delta.tool_calls, delta
        annotations += getattr(delta, "annotations", None) or []
        roles.append(delta.role)
        reasons.append(chunk.choices[0].finish_reason)
        if getattr(delta, "annotations", None):
            assert chunk.event["type"] == "source" and chunk.event["data"]["document"], chunk
    assert len(ids) == 1 and next(iter(ids))[2:] == ("auto", "chat.completion.chunk"), ids
    assert roles[0] == "assistant" and set(roles[1:]) == {None}, roles
    assert reasons[-1] == "stop" and set(reasons[:-1]) == {None}, reasons
    assert usage.prompt_tokens == 21 and usage.completion_tokens == 7, usage
    check_annotation(text, annotations[0])


def tools(client):
    """The model calls a tool, the client runs it and sends the result; then the same in a stream."""
    messages = [{"role": "system", "content": "You read tags."}] + user("What is the pressure at P-101?")
    answer = client.chat.completions.create(
        model="fast-direct", messages=messages, tools=[TOOL], tool_choice="auto", temperature=0.2, seed=7
    )
    assert answer.choices[0].finish_reason == "tool_calls", answer
    call = answer.choices[0].message.tool_calls[0]
    assert call.function.name == "read_tag" and json.loads(call.function.arguments) == {"tag": "P-101"}, call
    messages.append(answer.choices[0].message.model_dump(exclude_none=True))
    messages.append({"role": "tool", "tool_call_id": call.id, "content": "4.2 bar"})
    answer = client.chat.completions.create(model="fast-direct", messages=messages, tools=[TOOL])
    assert answer.choices[0].message.content == "It is 4.2 bar.", answer
    assert answer.platform["conversation_id"] is None, answer.platform

    calls, reason = [], None
    with client.chat.completions.stream(model="fast-direct", messages=user("And P-102?"), tools=[TOOL]) as stream:
        for event in stream:
            if event.type == "tool_calls.function.arguments.done":
                calls.append((event.name, event.arguments))
        reason = stream.get_final_completion().choices[0].finish_reason
    assert calls == [("read_tag", '{"tag": "P-101"}')] and reason == "tool_calls", (calls, reason)


def assistant_tools(client):
    """The assistant searches, wants a tool of the client's, and answers with its result; whole and streamed."""
    messages = user(QUESTION)
    answer = client.chat.completions.create(model="auto", messages=messages, tools=[TOOL])
    assert answer.choices[0].finish_reason == "tool_calls" and answer.platform["left_out"] is None, answer
    call = answer.choices[0].message.tool_calls[0]
    assert json.loads(call.function.arguments) == {"tag": "P-101"}, call
    messages.append(answer.choices[0].message.model_dump(exclude_none=True))
    messages.append({"role": "tool", "tool_call_id": call.id, "content": "4.2 bar"})
    conversation = answer.platform["conversation_id"]
    answer = client.chat.completions.create(
        model="auto", messages=messages, tools=[TOOL], extra_headers={"x-conversation-id": conversation}
    )
    message = answer.choices[0].message
    assert message.content == "Every 14 days [1] at 4.2 bar." and answer.choices[0].finish_reason == "stop", answer
    check_annotation(message.content, message.annotations[0].model_dump())

    with client.chat.completions.stream(model="auto", messages=user(QUESTION), tools=[TOOL]) as stream:
        names = [event.name for event in stream if event.type == "tool_calls.function.arguments.done"]
        final = stream.get_final_completion()
    assert names == ["read_tag"] and final.choices[0].finish_reason == "tool_calls", (names, final)
    text = ""
    for chunk in client.chat.completions.create(model="auto", messages=messages, tools=[TOOL], stream=True):
        text += chunk.choices[0].delta.content or ""
    assert text == message.content, text


def left_out_tools(client):
    """Without a language model the documents are quoted, and the answer says that it does without the tools."""
    answer = client.chat.completions.create(model="auto", messages=user(QUESTION), tools=[TOOL], tool_choice="required")
    message = answer.choices[0].message
    assert "14 days" in message.content and message.annotations and not message.tool_calls, message
    assert answer.platform["left_out"] == {"content": 0, "tools": 1}, answer.platform
    *_, last = client.chat.completions.create(model="auto", messages=user(QUESTION), tools=[TOOL, TOOL], stream=True)
    assert last.platform["left_out"]["tools"] == 2, last
    without = client.chat.completions.create(model="auto", messages=user(QUESTION))
    assert without.platform["left_out"] is None, without.platform
    # A client that has called tools of an earlier model goes on all the same.
    call = {"id": "call_1", "type": "function", "function": {"name": "read_tag", "arguments": "{}"}}
    messages = user(QUESTION) + [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "4.2 bar"},
    ]
    answer = client.chat.completions.create(model="auto", messages=messages, tools=[TOOL])
    assert "14 days" in answer.choices[0].message.content, answer
    assert answer.platform["left_out"] == {"content": 1, "tools": 1}, answer.platform


def errors(client):
    """Each failure raises the documented exception class."""
    stranger = OpenAI(base_url=client.base_url, api_key="sk-nobody", max_retries=0)
    fails_with(openai.AuthenticationError, stranger.models.list, 401, "invalid_api_key")
    ask = client.chat.completions.create
    fails_with(openai.NotFoundError, lambda: ask(model="gpt-4o", messages=user("Hi")), 404, "model_not_found")
    fails_with(openai.NotFoundError, lambda: client.models.retrieve("gpt-4o"), 404, "model_not_found")
    picture = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]
    error = fails_with(
        openai.BadRequestError, lambda: ask(model="auto", messages=user(picture)), 400, "unsupported_content"
    )
    assert error.param == "messages[0].content[0].type" and error.request_id, error
    fails_with(openai.BadRequestError, lambda: ask(model="auto", messages=user("Hi"), n=2), 400)
    nowhere = {"x-conversation-id": "00000000-0000-7000-8000-00000000dead"}
    fails_with(openai.NotFoundError, lambda: ask(model="auto", messages=user("Hi"), extra_headers=nowhere), 404)
    fails_with(openai.BadRequestError, lambda: client.embeddings.create(model="embed", input=[[100256]]), 400)
    orphan = user("Hi") + [{"role": "tool", "tool_call_id": "call_1", "content": "4.2 bar"}]
    error = fails_with(openai.BadRequestError, lambda: ask(model="auto", messages=orphan), 400)
    assert error.param == "messages[1].tool_call_id", error

    # The model server refuses the request, then is down, then interrupts its answer.
    refused = lambda: ask(model="fast-direct", messages=user("Hi"), stream=True)
    fails_with(openai.BadRequestError, refused, 400, "model_refused")
    fails_with(openai.InternalServerError, lambda: ask(model="fast-direct", messages=user("Hi"), stream=True), 503)
    said = ""

    def read():
        nonlocal said
        for chunk in ask(model="fast-direct", messages=user("Hi"), stream=True):
            said += chunk.choices[0].delta.content or ""

    error = fails_with(openai.APIError, read)
    assert not isinstance(error, openai.APIStatusError) and error.code == "model_unavailable", error
    assert said == "Half an ", said


def limits(client):
    """Sends more requests than the rate limit allows."""

    def many():
        for _ in range(500):
            client.models.list()

    error = fails_with(openai.RateLimitError, many, 429, "rate_limit_exceeded")
    assert int(error.response.headers["retry-after"]) >= 1, error.response.headers


def embeddings(client):
    """The vectors are the same whether the client requests base64, its default, or floats."""
    texts = ["mechanical seal", "strainer"]
    packed = client.embeddings.create(model="embed", input=texts)
    plain = client.embeddings.create(model="embed", input=texts, encoding_format="float")
    # Compared as 32-bit floats, because JSON has only their shortest decimal form.
    numbers = lambda vectors: [array("f", vector.embedding) for vector in vectors.data]
    assert numbers(packed) == numbers(plain)
    assert [vector.index for vector in plain.data] == [0, 1] and plain.model == "embed", plain
    vector = plain.data[0].embedding
    assert len(vector) > 100 and abs(sum(number * number for number in vector) - 1) < 1e-3
    assert plain.usage.prompt_tokens > 0, plain.usage
    assert client.embeddings.create(model="embed", input=texts[0], dimensions=len(vector)).data
    # The tokens of "mechanical seal" in cl100k_base, alone and among others.
    tokens = [2727, 5776, 950, 26418]
    alone = client.embeddings.create(model="embed", input=tokens).data
    both = client.embeddings.create(model="embed", input=[tokens, [496, 1677, 261]]).data
    assert len(alone) == 1 and len(both) == 2, (len(alone), len(both))
    for vector in (alone[0], both[0]):
        assert max(abs(a - b) for a, b in zip(vector.embedding, plain.data[0].embedding)) < 1e-3
    fails_with(
        openai.BadRequestError, lambda: client.embeddings.create(model="embed", input="a", dimensions=3), 400
    )


def concurrent(client):
    """Several concurrent answers with the asyncio client."""

    async def ask():
        async with AsyncOpenAI(base_url=client.base_url, api_key=client.api_key, max_retries=0) as others:
            whole = others.chat.completions.create(model="fast-direct", messages=user("One?"))
            vectors = others.embeddings.create(model="embed", input="strainer")
            whole, vectors = await asyncio.gather(whole, vectors)
            assert whole.choices[0].message.content == "Every time." and vectors.data, whole
            said = ""
            stream = await others.chat.completions.create(model="fast-direct", messages=user("Two?"), stream=True)
            async for chunk in stream:
                said += chunk.choices[0].delta.content or ""
            assert said == "Every time.", said

    asyncio.run(ask())


SCENARIOS = [assistant, tools, assistant_tools, left_out_tools, errors, limits, embeddings, concurrent]


def main():
    scenario, base_url, api_key = sys.argv[1:]
    client = OpenAI(base_url=base_url, api_key=api_key, max_retries=0)
    {function.__name__: function for function in SCENARIOS}[scenario](client)


if __name__ == "__main__":
    main()
