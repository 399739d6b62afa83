"""Drives LangChain and LlamaIndex, unmodified, against the platform: python client.py SCENARIO BASE_URL API_KEY.

Each function is a scenario of tests/it/openai_clients.rs, which plays the model behind the platform. What is wrong is
raised.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

# LangChain counts tokens with tiktoken, which fetches its tables from the internet unless they are here already.
LLAMA_INDEX = Path(find_spec("llama_index.core").origin).parent
os.environ["TIKTOKEN_CACHE_DIR"] = str(LLAMA_INDEX / "_static" / "tiktoken_cache")

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike

QUESTION = "How often is the strainer of X-9001 cleaned?"
READING = "What is the pressure at P-101?"


def read_tag(tag: str) -> str:
    """Reads a tag."""
    return "4.2 bar" if tag == "P-101" else "unknown"


def close(one, other):
    """Whether two vectors are the same, but for the digits that a batch of another size rounds differently."""
    return len(one) == len(other) > 100 and max(abs(a - b) for a, b in zip(one, other)) < 1e-3


def langchain(base_url, api_key):
    """An answer, a stream, and a tool that the client executes."""
    chat = ChatOpenAI(model="auto", base_url=base_url, api_key=api_key, max_retries=0)
    answer = chat.invoke(QUESTION)
    assert "14 days" in answer.text and "[1]" in answer.text, answer
    pieces = [chunk.text for chunk in chat.stream(QUESTION)]
    assert len(pieces) > 2 and "".join(pieces) == answer.text, pieces

    with_tools = chat.bind_tools([tool(read_tag)])
    asked = HumanMessage(READING)
    wanted = with_tools.invoke([asked])
    assert isinstance(wanted, AIMessage) and len(wanted.tool_calls) == 1, wanted
    call = wanted.tool_calls[0]
    assert (call["name"], call["args"]) == ("read_tag", {"tag": "P-101"}), call
    result = ToolMessage(read_tag(**call["args"]), tool_call_id=call["id"])
    answer = with_tools.invoke([asked, wanted, result])
    assert answer.text == "It is 4.2 bar.", answer


def langchain_embeddings(base_url, api_key):
    """As it comes: it sends the tokens of cl100k_base. The vectors are those of the texts."""
    texts = ["mechanical seal of Größe 5 µm", "strainer"]
    settings = {"model": "embed", "base_url": base_url, "api_key": api_key, "max_retries": 0}
    as_tokens = OpenAIEmbeddings(**settings)
    as_texts = OpenAIEmbeddings(**settings, check_embedding_ctx_length=False)
    for one, other in zip(as_tokens.embed_documents(texts), as_texts.embed_documents(texts), strict=True):
        assert close(one, other), (one[:4], other[:4])
    assert close(as_tokens.embed_query(texts[0]), as_texts.embed_query(texts[0]))


def llamaindex(base_url, api_key):
    """An answer, a stream, a tool that the client executes, and vectors."""
    llm = OpenAILike(
        model="auto",
        api_base=base_url,
        api_key=api_key,
        is_chat_model=True,
        is_function_calling_model=True,
        max_retries=0,
    )
    asked = [ChatMessage(role="user", content=QUESTION)]
    answer = llm.chat(asked).message.content
    assert "14 days" in answer and "[1]" in answer, answer
    streamed = [part.delta or "" for part in llm.stream_chat(asked)]
    assert len([piece for piece in streamed if piece]) > 2 and "".join(streamed) == answer, streamed

    response = llm.predict_and_call([FunctionTool.from_defaults(read_tag)], user_msg=READING)
    assert str(response) == "4.2 bar", response
    assert response.sources[0].raw_input["kwargs"] == {"tag": "P-101"}, response.sources

    embedding = OpenAILikeEmbedding(model_name="embed", api_base=base_url, api_key=api_key, max_retries=0)
    vectors = embedding.get_text_embedding_batch(["strainer", "mechanical seal"])
    assert len(vectors) == 2 and close(vectors[0], embedding.get_text_embedding("strainer")), vectors[0][:4]


SCENARIOS = [langchain, langchain_embeddings, llamaindex]


def main():
    scenario, base_url, api_key = sys.argv[1:]
    {function.__name__: function for function in SCENARIOS}[scenario](base_url, api_key)


if __name__ == "__main__":
    main()
