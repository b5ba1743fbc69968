"""The official SDKs of both vendors, unmodified, against `org mock`.

    exchange.py URL

Every part has an agent of its own, so that each begins its script at its beginning. What is checked is
what a program sees that was written for the vendor: types, texts, calls, counts and exceptions.
"""

import asyncio
import sys

import anthropic
import httpx2
import openai

URL = sys.argv[1]
CLAUDE, GPT = "claude-opus-5-5", "gpt-6.2-sol"


def claude(agent, **more):
    return anthropic.Anthropic(api_key=f"mock-{agent}", base_url=URL, **more)


def gpt(agent, **more):
    return openai.OpenAI(api_key=f"mock-{agent}", base_url=f"{URL}/v1", **more)


def raises(kind, act, **attributes):
    try:
        act()
    except kind as error:
        for name, value in attributes.items():
            assert getattr(error, name) == value, (error, name, getattr(error, name))
        return error
    raise AssertionError(f"nothing was raised, and {kind} should have been")


TOOLS = [
    {
        "name": "shell",
        "description": "Runs a command.",
        "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}},
    }
]
FUNCTIONS = [
    {
        "type": "function",
        "name": "shell",
        "description": "Runs a command.",
        "parameters": {"type": "object", "properties": {"command": {"type": "string"}}},
        "strict": False,
    }
]


def asked(messages, **more):
    return dict(
        model=CLAUDE,
        max_tokens=1000,
        thinking={"type": "adaptive", "display": "summarized"},
        cache_control={"type": "ephemeral"},
        system="You count.",
        tools=TOOLS,
        messages=messages,
        **more,
    )


def anthropic_whole():
    client = claude("whole")
    messages = [{"role": "user", "content": "Count the files."}]
    first = client.messages.create(**asked(messages))
    assert [block.type for block in first.content] == ["thinking", "text", "tool_use", "tool_use"]
    thinking, text, one, two = first.content
    assert (thinking.thinking, text.text) == ("Need a count – naïve 🧪", "let us see")
    assert thinking.signature and first.stop_reason == "tool_use"
    assert (one.name, one.input, two.input) == ("shell", {"command": "ls é"}, {})
    assert one.id != two.id and first.usage.output_tokens > 0
    messages += [
        {"role": "assistant", "content": first.content},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": one.id, "content": "out 7"},
                {"type": "tool_result", "tool_use_id": two.id, "content": "none", "is_error": True},
            ],
        },
    ]
    second = client.messages.create(**asked(messages))
    assert (second.content[0].text, second.stop_reason) == ("saw 7", "end_turn")
    assert second.usage.cache_read_input_tokens > 0, second.usage
    # The same bytes get the same reply; another beginning is refused, since thinking is bound to it.
    assert client.messages.create(**asked(messages)).id == second.id
    changed = {**asked(messages), "system": "You do not."}
    error = raises(anthropic.BadRequestError, lambda: client.messages.create(**changed), status_code=400)
    assert "Invalid `signature`" in str(error) and error.request_id, error


def anthropic_streams():
    client = claude("streams")
    messages = [{"role": "user", "content": "Count the files."}]
    with client.messages.stream(**asked(messages)) as stream:
        kinds = [event.type for event in stream]
        first = stream.get_final_message()
    assert {"thinking", "text", "input_json", "message_stop"} <= set(kinds), kinds
    assert [block.type for block in first.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert first.content[2].input == {"command": "ls é"} and first.content[3].input == {}
    messages.append({"role": "assistant", "content": first.content})
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "out 8"} for block in first.content[2:]
    ]
    messages.append({"role": "user", "content": results})
    text = ""
    for event in client.messages.create(**asked(messages), stream=True):
        if event.type == "content_block_delta" and event.delta.type == "text_delta":
            text += event.delta.text
    assert text == "saw 8", text


def anthropic_counts_and_lists():
    client = claude("counts")
    body = {key: asked([{"role": "user", "content": "x" * 400}])[key] for key in ("model", "system", "messages")}
    assert client.messages.count_tokens(**body).input_tokens > 100
    models = list(client.models.list())
    assert CLAUDE in [model.id for model in models], models
    assert client.models.retrieve(CLAUDE).max_input_tokens > 0
    # Neither has moved the script.
    reply = client.messages.create(**asked([{"role": "user", "content": "go"}]))
    assert reply.content[1].text == "let us see"


def anthropic_fails():
    def go(number):
        return asked([{"role": "user", "content": f"go {number}"}])

    client = claude("fails", max_retries=0)
    whole = lambda number: client.messages.create(**go(number))
    stream = lambda number: list(client.messages.create(**go(number), stream=True))
    raises(anthropic.RateLimitError, lambda: whole(1), status_code=429)
    assert whole(1).content[0].text == "well"
    raises(anthropic.OverloadedError, lambda: whole(2), status_code=529)
    assert whole(2).content[0].text == "well"
    raises(anthropic.APIStatusError, lambda: stream(3))
    assert stream(3)[-1].type == "message_stop"
    raises(httpx2.RemoteProtocolError, lambda: stream(4))
    assert stream(4)[-1].type == "message_stop"
    for number, stop in [(5, "max_tokens"), (6, "refusal"), (7, "model_context_window_exceeded")]:
        assert whole(number).stop_reason == stop, stop
        assert whole(number).stop_reason in ("end_turn", "tool_use"), stop
    assert whole(8).stop_reason == "pause_turn"
    raises(anthropic.AuthenticationError, lambda: whole(9), status_code=401)
    # The SDK tries again by itself what may be tried again.
    assert claude("patient").messages.create(**go(0)).content[0].text == "at last"


async def anthropic_async():
    client = anthropic.AsyncAnthropic(api_key="mock-async", base_url=URL)
    async with client.messages.stream(**asked([{"role": "user", "content": "go"}])) as stream:
        final = await stream.get_final_message()
    assert final.content[1].text == "let us see"


def wanted(items, **more):
    return dict(
        model=GPT,
        instructions="You count.",
        input=items,
        tools=FUNCTIONS,
        store=False,
        reasoning={"effort": "medium", "summary": "auto"},
        include=["reasoning.encrypted_content"],
        **more,
    )


def outputs(response, text):
    calls = [item for item in response.output if item.type == "function_call"]
    return [{"type": "function_call_output", "call_id": call.call_id, "output": text} for call in calls]


def openai_whole():
    client = gpt("whole-2")
    items = [{"role": "user", "content": "Count the files."}]
    first = client.responses.create(**wanted(items))
    assert [item.type for item in first.output] == ["reasoning", "message", "function_call", "function_call"]
    reasoning, _, one, two = first.output
    assert reasoning.summary[0].text == "Need a count – naïve 🧪" and reasoning.encrypted_content
    assert (first.output_text, first.status) == ("let us see", "completed")
    assert (one.name, one.arguments, two.arguments) == ("shell", '{"command":"ls é"}', "{}")
    assert one.call_id != one.id and one.call_id != two.call_id
    items += [item.model_dump(exclude_none=True) for item in first.output] + outputs(first, "out 7")
    second = client.responses.create(**wanted(items))
    assert second.output_text == "saw 7"
    usage = second.usage
    assert 0 < usage.input_tokens_details.cached_tokens < usage.input_tokens, usage
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    assert client.responses.create(**wanted(items)).id == second.id
    without = [item for item in items if item.get("type") != "function_call_output"]
    error = raises(openai.BadRequestError, lambda: client.responses.create(**wanted(without)), status_code=400)
    assert "No tool output found" in str(error), error


def openai_streams():
    client = gpt("streams-2")
    items = [{"role": "user", "content": "Count the files."}]
    with client.responses.stream(**wanted(items)) as stream:
        kinds = [event.type for event in stream]
        first = stream.get_final_response()
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed", kinds
    assert "response.reasoning_summary_text.delta" in kinds
    assert "response.function_call_arguments.done" in kinds
    assert first.output_text == "let us see"
    items += [item.model_dump(exclude_none=True, exclude={"parsed_arguments", "parsed"}) for item in first.output]
    items += outputs(first, "out 8")
    text, last = "", None
    for event in client.responses.create(**wanted(items), stream=True):
        last = event
        if event.type == "response.output_text.delta":
            text += event.delta
    assert (text, last.type) == ("saw 8", "response.completed")
    assert last.response.usage.output_tokens > 0


def openai_counts_and_lists():
    client = gpt("counts-2")
    counted = client.responses.input_tokens.count(model=GPT, input="x" * 400)
    assert counted.input_tokens > 100, counted
    assert GPT in [model.id for model in client.models.list()]
    assert client.models.retrieve(GPT).id == GPT
    compacted = client.responses.compact(model=GPT, input=[{"role": "user", "content": "x"}])
    assert compacted.output[-1].type == "compaction" and compacted.usage.input_tokens > 0
    reply = client.responses.create(**wanted([{"role": "user", "content": "go"}]))
    assert reply.output_text == "let us see"


def openai_fails():
    def go(number):
        return wanted([{"role": "user", "content": f"go {number}"}])

    client = gpt("fails-2", max_retries=0)
    whole = lambda number: client.responses.create(**go(number))
    stream = lambda number: list(client.responses.create(**go(number), stream=True))
    raises(openai.RateLimitError, lambda: whole(1), code="rate_limit_exceeded")
    assert whole(1).output_text == "well"
    raises(openai.InternalServerError, lambda: whole(2), status_code=529)
    assert whole(2).output_text == "well"
    failed = stream(3)[-1]
    assert (failed.type, failed.response.error.code) == ("response.failed", "server_is_overloaded")
    assert stream(3)[-1].type == "response.completed"
    raises((openai.APIConnectionError, httpx2.RemoteProtocolError), lambda: stream(4))
    assert stream(4)[-1].type == "response.completed"
    for number, reason in [(5, "max_output_tokens"), (6, "content_filter")]:
        cut = whole(number)
        assert (cut.status, cut.incomplete_details.reason) == ("incomplete", reason), cut
        assert whole(number).status == "completed"
    full = whole(7)
    assert (full.status, full.error.code) == ("failed", "context_length_exceeded"), full
    assert whole(7).status == "completed"
    # This wire has no pause: what is said then ends the turn.
    assert whole(8).output_text == "well"
    raises(openai.AuthenticationError, lambda: whole(9), code="invalid_api_key")
    assert gpt("patient-2").responses.create(**go(0)).output_text == "at last"


async def openai_async():
    client = openai.AsyncOpenAI(api_key="mock-async-2", base_url=f"{URL}/v1")
    async with client.responses.stream(**wanted([{"role": "user", "content": "go"}])) as stream:
        final = await stream.get_final_response()
    assert final.output_text == "let us see"


anthropic_whole()
anthropic_streams()
anthropic_counts_and_lists()
anthropic_fails()
asyncio.run(anthropic_async())
openai_whole()
openai_streams()
openai_counts_and_lists()
openai_fails()
asyncio.run(openai_async())
print(f"anthropic {anthropic.__version__} and openai {openai.__version__} are served")
