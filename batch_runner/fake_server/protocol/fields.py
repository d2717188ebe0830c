"""The fields of a chat request: which there are, and what each must be."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class FieldType:
    """What a field may be, in the service's words and in Python's types."""

    words: str
    types: frozenset[type]


AN_INTEGER = FieldType("an integer", frozenset({int}))
A_NUMBER = FieldType("a decimal", frozenset({int, float}))
A_BOOLEAN = FieldType("a boolean", frozenset({bool}))
A_STRING = FieldType("a string", frozenset({str}))
AN_OBJECT = FieldType("an object", frozenset({dict}))
OBJECTS = FieldType("an array of objects", frozenset({list}))
ANYTHING = FieldType("anything", frozenset({int, float, bool, str, dict, list}))

FIELDS: Mapping[str, FieldType] = MappingProxyType(
    {
        "audio": AN_OBJECT,
        "frequency_penalty": A_NUMBER,
        "function_call": ANYTHING,
        "functions": OBJECTS,
        "logit_bias": AN_OBJECT,
        "logprobs": A_BOOLEAN,
        "max_completion_tokens": AN_INTEGER,
        "max_tokens": AN_INTEGER,
        "messages": OBJECTS,
        "metadata": AN_OBJECT,
        "modalities": ANYTHING,
        "model": A_STRING,
        "n": AN_INTEGER,
        "parallel_tool_calls": A_BOOLEAN,
        "prediction": AN_OBJECT,
        "presence_penalty": A_NUMBER,
        "prompt_cache_key": A_STRING,
        "prompt_cache_retention": A_STRING,
        "reasoning_effort": A_STRING,
        "response_format": AN_OBJECT,
        "safety_identifier": A_STRING,
        "seed": AN_INTEGER,
        "service_tier": A_STRING,
        "stop": ANYTHING,
        "store": A_BOOLEAN,
        "stream": A_BOOLEAN,
        "stream_options": AN_OBJECT,
        "temperature": A_NUMBER,
        "tool_choice": ANYTHING,
        "tools": OBJECTS,
        "top_logprobs": AN_INTEGER,
        "top_p": A_NUMBER,
        "user": A_STRING,
        "verbosity": A_STRING,
        "web_search_options": AN_OBJECT,
    }
)
"""Everything chat completions know; OpenAI refuses the rest by name, gateways drop it without a word."""

JSON_NAMES: Mapping[type, str] = MappingProxyType(
    {str: "a string", bool: "a boolean", int: "an integer", float: "a decimal", dict: "an object", list: "an array"}
)
"""What a value is called that should have been another."""
