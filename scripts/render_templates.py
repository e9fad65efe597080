#!/usr/bin/env python3
"""Makes tests/data/templates/expected.json: what the reference Jinja2 renders.

  render_templates.py tests/data/templates > tests/data/templates/expected.json

Needs jinja2 >= 3.1. The environment is set up as transformers does for chat templates (sandboxed and
immutable, trim_blocks, lstrip_blocks, loop controls, its own tojson, raise_exception, strftime_now,
the `generation` block). Three parts: `inputs` (named conversations), `templates` (each *.jinja of the
folder with each input: text, or the error), `unit` (small templates of one construct each).
"""
import json
import pathlib
import sys
from datetime import datetime, timezone

import jinja2
import jinja2.ext
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = 1_721_995_200  # 2024-07-26 12:00:00 UTC


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_support"), [], [], body).set_lineno(line)

    @jinja2.pass_eval_context
    def _support(self, context, caller):
        return caller()


class Namespace(jinja2.utils.Namespace):
    def __init__(*args, **kwargs):
        self, args = args[0], args[1:]
        attrs = dict(*args, **kwargs)
        for name in attrs:
            Namespace._check(name)
        jinja2.utils.Namespace.__init__(self, attrs)

    def __setitem__(self, name, value):
        Namespace._check(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)

    @staticmethod
    def _check(name):
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError("underscore-prefixed attribute")


class Dict:
    def __call__(self, *args, **kwargs):
        return dict(*args, **kwargs)


class Raised(jinja2.exceptions.TemplateError):
    pass


def raise_exception(message):
    raise Raised(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda fmt: datetime.fromtimestamp(NOW, timezone.utc).replace(tzinfo=None).strftime(fmt)
    env.globals["dict"] = Dict()
    env.globals["namespace"] = Namespace
    return env


ENV = environment()


def outcome(source, variables):
    """{"text"} or {"raised"} (raise_exception's message), {"undefined"} (an UndefinedError's message), {"error"}."""
    try:
        return {"text": ENV.from_string(source).render(**variables)}
    except Raised as e:
        return {"raised": str(e)}
    except jinja2.exceptions.UndefinedError as e:
        return {"undefined": str(e).replace("__main__.", "")}
    except (jinja2.exceptions.TemplateSyntaxError, SyntaxError) as e:
        return {"syntax": str(e)}
    except Exception as e:  # noqa: BLE001 - TypeError, ZeroDivisionError …: any failure of the rendering
        return {"error": f"{type(e).__name__}: {e}"}


# ---- conversations ----

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather in a city",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "The city's name, e.g. \"Zürich\""},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
                "days": {"type": ["integer", "null"], "minimum": 1, "maximum": 14},
            },
            "required": ["city"],
        },
    },
}
NESTED = {
    "type": "function",
    "function": {
        "name": "book",
        "description": "Books <things> & 'stuff'\non two lines",
        "parameters": {
            "type": "object",
            "properties": {
                "items": {
                    "type": "array",
                    "description": "What to book",
                    "items": {
                        "type": "object",
                        "properties": {"id": {"type": "integer"}, "price": {"type": "number"}, "tags": {"type": "array", "items": {"type": "string"}}},
                        "required": ["id"],
                    },
                },
                "when": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}], "description": "date"},
                "flag": {"type": "boolean", "default": False},
                "options": {"type": "object", "additionalProperties": {"type": "string"}},
            },
            "required": ["items", "when"],
            "additionalProperties": False,
        },
        "return": {"type": "string"},
    },
}
EMPTY = {"type": "function", "function": {"name": "now", "description": "The time", "parameters": {"type": "object", "properties": {}}}}


def call(name, arguments, id="call12345"):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def user(text, **more):
    return {"role": "user", "content": text, **more}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


SYSTEM = {"role": "system", "content": "You are terse.  "}
RESULT = {"role": "tool", "tool_call_id": "call12345", "name": "get_weather", "content": "{\"temp\": 21.5, \"sky\": \"☀\"}"}


def conversations():
    c = {}
    c["user"] = {"messages": [user("Hi")]}
    c["user_no_prompt"] = {"messages": [user("Hi")], "add_generation_prompt": False}
    c["system"] = {"messages": [SYSTEM, user("Hi there")]}
    c["system_no_prompt"] = {"messages": [SYSTEM, user("Hi there")], "add_generation_prompt": False}
    c["multi"] = {"messages": [SYSTEM, user("One?"), assistant("1"), user(" Two? \n"), assistant(" 2\n"), user("Three?")]}
    c["multi_no_system"] = {"messages": [user("One?"), assistant("1"), user("Two?")]}
    c["ends_with_assistant"] = {"messages": [user("One?"), assistant("1")], "add_generation_prompt": False}
    c["empty"] = {"messages": []}
    c["only_system"] = {"messages": [SYSTEM]}
    c["two_users"] = {"messages": [user("a"), user("b")]}
    c["starts_with_assistant"] = {"messages": [assistant("Hello"), user("b")]}
    c["late_system"] = {"messages": [user("a"), {"role": "system", "content": "Late."}, user("b")]}
    c["developer"] = {"messages": [{"role": "developer", "content": "Be brief."}, user("a")]}
    c["unknown_role"] = {"messages": [user("a"), {"role": "ghost", "content": "boo"}]}
    c["unicode"] = {"messages": [{"role": "system", "content": "Zürich ☃"}, user("naïve 日本語 👩‍👩‍👧 \u00a0 \u2028 <b>&amp;</b> \"q\" 'a' \\n \t"), assistant("ß ΑΣ"), user("𝔘")]}
    c["empty_content"] = {"messages": [{"role": "system", "content": ""}, user(""), assistant(""), user("x")]}
    c["null_content"] = {"messages": [user("a"), assistant(None), user("b")]}
    c["no_content"] = {"messages": [user("a"), {"role": "assistant"}, user("b")]}
    c["markup_in_text"] = {"messages": [user("{{ 1 }} {% if %} {# #} <|im_end|> </think> [INST]")]}
    c["parts"] = {"messages": [user([{"type": "text", "text": "Hello "}, {"type": "text", "text": "world"}])]}
    c["parts_system"] = {"messages": [{"role": "system", "content": [{"type": "text", "text": "Sys"}]}, user([{"type": "text", "text": "Q"}]), assistant([{"type": "text", "text": "A"}]), user([{"type": "text", "text": "Q2"}])]}
    c["parts_image"] = {"messages": [user([{"type": "image"}, {"type": "text", "text": "What is it?"}])]}
    c["parts_image_url"] = {"messages": [user([{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": "data:,"}}])]}
    c["parts_mixed"] = {"messages": [user([{"type": "video"}, {"type": "text", "text": "V"}, {"type": "audio"}])]}
    c["tools"] = {"messages": [user("Weather?")], "tools": [WEATHER]}
    c["tools_system"] = {"messages": [SYSTEM, user("Weather?")], "tools": [WEATHER, NESTED, EMPTY]}
    c["tools_no_prompt"] = {"messages": [SYSTEM, user("Weather?"), assistant("No.")], "tools": [NESTED], "add_generation_prompt": False}
    obj = {"city": "Zürich", "days": 3, "flags": [True, None, 1.5], "o": {"k": "v\"q'"}}
    text = json.dumps(obj, ensure_ascii=False)
    for name, arguments in (("object", obj), ("string", text), ("empty_object", {}), ("empty_string", "{}")):
        c[f"call_{name}"] = {"messages": [user("Weather?"), assistant("", tool_calls=[call("get_weather", arguments)]), RESULT], "tools": [WEATHER]}
    c["call_null_content"] = {"messages": [SYSTEM, user("Weather?"), assistant(None, tool_calls=[call("get_weather", obj)]), RESULT, assistant("It is 21.5."), user("Thanks")], "tools": [WEATHER]}
    c["call_no_content"] = {"messages": [user("Weather?"), {"role": "assistant", "tool_calls": [call("get_weather", obj)]}, RESULT, user("And?")], "tools": [WEATHER]}
    c["call_with_text"] = {"messages": [user("Weather?"), assistant("Let me see.", tool_calls=[call("get_weather", obj)]), RESULT, assistant("Fine."), user("Ok")], "tools": [WEATHER, EMPTY]}
    c["call_two"] = {
        "messages": [user("Both?"), assistant("", tool_calls=[call("get_weather", obj, "aaaaaaaa1"), call("now", {}, "aaaaaaaa2")]), {**RESULT, "tool_call_id": "aaaaaaaa1"}, {"role": "tool", "tool_call_id": "aaaaaaaa2", "name": "now", "content": "12:00"}],
        "tools": [WEATHER, EMPTY],
    }
    c["call_two_strings"] = {
        "messages": [user("Both?"), assistant("", tool_calls=[call("get_weather", text, "aaaaaaaa1"), call("now", "{}", "aaaaaaaa2")]), {**RESULT, "tool_call_id": "aaaaaaaa1"}, {"role": "tool", "tool_call_id": "aaaaaaaa2", "name": "now", "content": "12:00"}, assistant("Done"), user("x")],
        "tools": [WEATHER, EMPTY],
    }
    c["call_without_tools"] = {"messages": [user("Weather?"), assistant("", tool_calls=[call("get_weather", obj)]), RESULT]}
    c["call_plain_function"] = {"messages": [user("Weather?"), assistant("", tool_calls=[{"name": "get_weather", "arguments": obj}]), {"role": "tool", "content": "ok"}], "tools": [WEATHER["function"]]}
    c["call_no_id"] = {"messages": [user("Weather?"), assistant("", tool_calls=[{"type": "function", "function": {"name": "get_weather", "arguments": obj}}]), {"role": "tool", "content": "ok"}], "tools": [WEATHER]}
    c["result_parts"] = {"messages": [user("Weather?"), assistant("", tool_calls=[call("get_weather", obj)]), {**RESULT, "content": [{"type": "text", "text": "21"}]}], "tools": [WEATHER]}
    c["result_object"] = {"messages": [user("Weather?"), assistant("", tool_calls=[call("get_weather", obj)]), {**RESULT, "content": {"temp": 21.5}}], "tools": [WEATHER]}
    c["result_first"] = {"messages": [RESULT, user("x")], "tools": [WEATHER]}
    c["calls_over_turns"] = {
        "messages": [SYSTEM, user("A?"), assistant("", tool_calls=[call("get_weather", obj)], reasoning_content="r1"), RESULT, assistant("21", reasoning_content="r2"), user("B?"), assistant("", tool_calls=[call("now", {})], reasoning_content="r3"), {"role": "tool", "tool_call_id": "call12345", "content": "12:00"}],
        "tools": [WEATHER, EMPTY],
    }
    c["empty_calls"] = {"messages": [user("a"), assistant("b", tool_calls=[]), user("c")]}
    c["null_calls"] = {"messages": [user("a"), assistant("b", tool_calls=None), user("c")]}
    c["reasoning"] = {"messages": [user("a"), assistant("b", reasoning_content="Because."), user("c"), assistant("d", reasoning_content="\nSo.\n")], "add_generation_prompt": False}
    c["reasoning_tags"] = {"messages": [user("a"), assistant("<think>\nhm\n</think>\n\nb"), user("c"), assistant("</think>d")], "add_generation_prompt": False}
    c["thinking_field"] = {"messages": [user("a"), assistant("b", thinking="t", reasoning="r"), user("c")]}
    c["thinking_on"] = {"messages": [SYSTEM, user("a")], "extra": {"enable_thinking": True, "thinking": True}}
    c["thinking_off"] = {"messages": [SYSTEM, user("a")], "extra": {"enable_thinking": False, "thinking": False}}
    c["thinking_off_tools"] = {"messages": [user("a"), assistant("b", reasoning_content="x"), user("c")], "tools": [WEATHER], "extra": {"enable_thinking": False}}
    c["clear_thinking"] = {"messages": [user("a"), assistant("b", reasoning_content="x"), user("c")], "extra": {"clear_thinking": False, "preserve_thinking": True, "keep_past_thinking": True}}
    c["reasoning_effort"] = {"messages": [user("a")], "extra": {"reasoning_effort": "high", "reasoning_mode": "x", "thinking_budget": 100}}
    c["date_string"] = {"messages": [SYSTEM, user("a")], "tools": [WEATHER], "extra": {"date_string": "01 Jan 2025", "tools_in_user_message": False, "builtin_tools": ["wolfram_alpha", "code_interpreter"]}}
    c["documents"] = {"messages": [user("a")], "extra": {"documents": [{"title": "T", "text": "Body", "content": "C"}], "citation_mode": "fast"}}
    c["null_tools"] = {"messages": [SYSTEM, user("a")], "extra": {"tools": None, "documents": None}}
    c["no_bos"] = {"messages": [user("a")], "extra": {"bos_token": "", "eos_token": ""}}
    long = [SYSTEM]
    for i in range(6):
        long += [user(f"Question {i}"), assistant(f"Answer {i}")]
    c["long"] = {"messages": long + [user("Last")]}
    return c


def variables(conversation):
    v = {"messages": conversation["messages"], "add_generation_prompt": conversation.get("add_generation_prompt", True), "bos_token": "<s>", "eos_token": "</s>"}
    if conversation.get("tools"):
        v["tools"] = conversation["tools"]
    v.update(conversation.get("extra", {}))
    return v


# ---- single constructs ----

VARS = {
    "s": "Hello World", "u": "naïve Straße ΑΣΣ ǆ", "n": 7, "f": 2.5, "t": True, "z": None, "neg": -3, "big": 18446744073709551615,
    "l": [3, 1, 2], "e": [], "ls": ["b", "A", "c", "a"], "d": {"b": 1, "a": "x", "C": [1, 2]}, "ed": {},
    "users": [{"name": "Bo", "age": 30, "x": {"y": 1}}, {"name": "al", "age": 25, "x": {"y": 2}}, {"name": "Cy", "age": 30, "active": True}],
    "nest": {"a": {"b": {"c": [10, 20, {"d": "deep"}]}}, "items": "shadowed", "keys": 5},
    "tree": [{"v": 1, "c": [{"v": 2, "c": []}, {"v": 3, "c": [{"v": 4, "c": []}]}]}, {"v": 5, "c": []}],
    "html": "<a href=\"x\">'&'</a>", "ws": "  \t x y \n ", "lines": "one\ntwo\n\nthree", "q": "it's", "qq": "say \"it's\"", "ctl": "a\tb\\c\u0001\u200bé\u00a0",
    "fl": [0.1, 1e16, 1e-5, 1.0, 123456789.125, -0.0, 1e22, 1e300, 5e-324, 100.0, 3.14159], "mixed": [1, "a", None, True, 2.5, [1], {"k": "v"}],
    "cols": [1, 2, 3, 4, 5, 6, 7], "word": "", "json": {"é": "ü\"\\\n\u0007\u007f", "n": [1, 2.0, True, None, {}], "z": {"y": [], "x": [[]]}},
}


def units():
    u = []

    def add(*sources):
        u.extend(sources)

    # output of values
    for name in VARS:
        add("{{ %s }}" % name, "{{ [%s] }}" % name, "{{ %s is defined }}{{ %s|string|length }}" % (name, name))
    add("{{ missing }}|{{ [missing] }}", "{{ true }} {{ false }} {{ none }} {{ True }} {{ None }}", "{{ 1 }} {{ 1.0 }} {{ 1e3 }} {{ 1_000 }} {{ 0x1f }} {{ 0b101 }} {{ 0o17 }} {{ 1.5e-7 }} {{ 12_3.4_5 }}")
    add("{{ 'a' 'b' \"c\" }}", r"{{ 'a\n\t\\\'\x41\u00e9\101\q\"' }}", "{{ () }} {{ (1,) }} {{ 1, 2 }} {{ (1, 'a') }} {{ [] }} {{ {} }} {{ {'a': 1, 2: 'b', none: true, 1.5: []} }}")
    add("{{ {'a': 1, 'a': 2} }}", "{{ {1: 'a', true: 'b', 1.0: 'c'} }}", "{{ [1, 2,] }} {{ {'a': 1,} }}", "{{ {'x': {'y': {'z': 1}}}.x.y.z }}", "{{ range(3) }} {{ range(1, 10, 3)|list }} {{ range(5, 0, -2)|list }}")
    # arithmetic
    for e in ["1 + 2", "7 // 2", "-7 // 2", "7 // -2", "7 % 3", "-7 % 3", "7 % -3", "7.5 % 2", "-7.5 % 2", "7.5 // 2", "-7.5 // 2", "7 / 2", "6 / 2", "2 ** 10", "2 ** -1", "2 ** 0.5", "2 ** 3 ** 2", "-2 ** 2", "10 - 3 - 2", "2 + 3 * 4", "(2 + 3) * 4", "1 / 3", "0.1 + 0.2", "1e308 * 10", "true + 1", "3 * 'ab'", "'ab' * 2", "'ab' * -1", "[1] * 3", "[1] + [2]", "(1,) + (2,)", "'a' + 'b'", "1 ~ 2 ~ 'x'", "'a' ~ none ~ true ~ 1.5 ~ [1]", "1 + 'a'", "'a' + 1", "[1] + (1,)", "none + 1", "1 // 0", "1 / 0", "1 % 0", "1.0 / 0", "1 - 1.0", "+5", "--5", "-n", "-f", "-s", "-t", "n + f", "n * f", "big + 1", "9007199254740993 + 0.0", "2 ** 64", "2 ** 80", "1.0 // 0.3", "5 // 0.4", "0 ** 0", "(-8) ** 2", "1e16 + 1", "123456789 * 987654321"]:
        add("{{ %s }}" % e)
    # comparison and logic
    for e in ["1 < 2", "2 < 1", "1 < 2 < 3", "1 < 3 < 2", "1 == 1.0", "1 == true", "'a' == 'a'", "'a' < 'b'", "'a' < 'B'", "'a' < 1", "[1, 2] < [1, 3]", "[1] == [1.0]", "(1,) == [1]", "{'a': 1} == {'a': 1.0}", "{'a': 1, 'b': 2} == {'b': 2, 'a': 1}", "none == none", "none == missing", "missing == missing2", "missing != none", "none < 1", "1 >= 1", "1 != 2", "'x' in 'xyz'", "'' in 'a'", "1 in [1, 2]", "1.0 in [1]", "'a' in d", "'q' in d", "1 in d", "'a' not in d", "not 'a' in d", "1 in missing", "missing in [1]", "1 in 'abc'", "1 in 5", "3 in range(5)", "5 in range(5)", "[1] in [[1]]", "[] in d", "true and false", "1 and 2", "0 or 'x'", "'' or none", "not ''", "not not 1", "1 and missing", "missing or 'd'", "1 if true else 2", "1 if false", "(1 if false) is defined", "'a' if n > 5 else 'b' if n > 3 else 'c'", "1 == 1 and 2 == 2", "not 1 == 2", "t is true", "1 is true", "none is none", "s is string", "l is sequence", "n in [5, 7]", "1 < 2 == true", "'b' > 'a' > 'A'", "l == [3,1,2]", "d == d", "1 == '1'", "{} == []", "'é' > 'z'", "[1, 'a'] < [1, 2]", "true < 2", "1 <= 1.5 <= 2"]:
        add("{{ %s }}" % e)
    # access
    for e in ["d.a", "d['a']", "d.zz", "d.zz is defined", "d['zz'] is defined", "d.zz.y", "missing.x", "missing['x']", "missing.x is defined", "nest.a.b.c[2].d", "nest['a']['b'].c.0", "nest.items", "nest['items']", "nest.keys()|list", "nest['keys']", "nest.items()|list|length", "l[0]", "l[-1]", "l[5]", "l[5] is defined", "l.0", "l['0']", "l.append", "l.append(1)", "d.update({})", "d.pop('a')", "l.pop()", "l.sort()", "d.clear is defined", "s.upper", "s.nope", "s.nope is defined", "s[0]", "s[-1]", "s[99]", "s['upper']()", "u[3]", "u[-3]", "n.real", "n.x", "none.x", "none['x']", "z.x is defined", "l[1.0]", "l[true]", "d[1]", "d[[1]]", "d[none]", "users[0].name", "users.0.x.y", "users[1]['x']['y']", "users[2].x.y", "users[2].x is defined", "s.__class__", "s.__class__.__mro__", "d.__class__ is defined", "d._x is defined", "().__class__.__bases__", "''.join.__self__", "l.__len__()", "(1,2)[0]", "'abc'[1]", "{'a': [1]}['a'][0]", "5['a']", "range(5)[2]", "range(5)[-1]", "range(5)[9] is defined", "range(3).start", "range(3).stop", "d.get('a')", "d.get('q')", "d.get('q', 5)", "d.get('q', default=5)", "d.get()", "missing.get('x')", "d.keys()", "d.values()", "d.items()", "d.items()[0]", "d.keys()[0] is defined", "d.copy()", "ed.items()", "d.keys()|first", "'a' in d.keys()", "1 in d.values()", "d.items()|length", "d.keys() is sequence", "d.keys() is iterable", "d.keys() is mapping", "l.index(1)", "l.index(9)", "l.count(3)", "(1,2,1).count(1)", "l.copy()", "f.is_integer()", "2.0.is_integer()", "n.bit_length()"]:
        add("{{ %s }}" % e)
    # slices
    for base in ["l", "s", "u", "cols", "(1,2,3,4)", "range(10)", "''", "e"]:
        for sl in ["1:", ":2", "1:3", "::2", "::-1", "-2:", ":-1", "3:1", "3:0:-1", "-1::-2", ":", "::", "1:100", "-100:2", "5::-1", "none:2", "0:0"]:
            add("{{ %s[%s] }}" % (base, sl))
    add("{{ l[::0] }}", "{{ d[1:] }}", "{{ missing[1:] }}", "{{ z[1:] }}", "{{ n[1:] }}", "{{ l['a':] }}", "{{ l[1.5:] }}", "{{ (range(10)[2:5])|list }}", "{{ messages[1:] }}", "{{ l[n:] }}", "{{ s[:n] }}{{ s[n:] }}", "{{ l[-1:][0] }}")
    # string methods
    for m in ["upper()", "lower()", "title()", "capitalize()", "swapcase()", "casefold()", "strip()", "lstrip()", "rstrip()", "strip('Hd')", "strip('')", "strip(none)", "lstrip('He')", "rstrip('dl')", "split()", "split(' ')", "split('o')", "split('o', 1)", "split(none, 1)", "split(sep='o')", "split(' ', maxsplit=1)", "split('')", "rsplit('o', 1)", "rsplit()", "rsplit(none, 1)", "splitlines()", "startswith('Hel')", "startswith(('x', 'H'))", "startswith('lo', 3)", "endswith('ld')", "endswith(('x', 'd'))", "endswith('')", "startswith(1)", "replace('l', 'L')", "replace('l', 'L', 1)", "replace('', '-')", "replace('', '-', 2)", "replace('zz', '')", "find('o')", "find('z')", "find('o', 5)", "rfind('o')", "index('o')", "index('z')", "count('l')", "count('')", "center(20)", "center(21, '*')", "center(20, '*')", "ljust(15, '.')|e", "rjust(15)", "zfill(15)", "join(['a', 'b'])", "join('xyz')", "join([1])", "join([])", "partition(' ')", "rpartition('o')", "partition('zz')", "rpartition('zz')", "removeprefix('He')", "removesuffix('ld')", "removesuffix('')", "isupper()", "islower()", "istitle()", "isdigit()", "isalpha()", "isalnum()", "isspace()", "isidentifier()", "isascii()", "isnumeric()", "isdecimal()", "isprintable()", "expandtabs()", "format()", "nope()", "upper(1)", "strip(1)", "split(1)", "replace('a')"]:
        for base in ["s", "u", "ws", "word"]:
            add("[{{ %s.%s }}]" % (base, m))
    add("{{ '-42'.zfill(6) }}{{ '+1'.zfill(5) }}", "{{ 'a\\tb\\t\\tc'.expandtabs(4) }}", "{{ lines.splitlines() }}{{ lines.splitlines(true) }}{{ 'a\\r\\nb\\rc\\x0bd\\x85e'.splitlines() }}", "{{ ' a  b '.split(' ') }}", "{{ ' a  b  c '.split(none, 1) }}{{ ' a  b  c '.rsplit(none, 1) }}", "{{ '123'.isdigit() }}{{ '½²'.isnumeric() }}{{ '²'.isdigit() }}{{ '٣'.isdecimal() }}", "{{ 'ŉß ﬁ'.upper() }}{{ 'ŉß ﬁ'.title() }}{{ 'ﬁx'.capitalize() }}{{ 'İI'.lower() }}{{ 'ß'.casefold() }}{{ 'ΑΣ ΑΣΑ Σ'.lower() }}", "{{ \"they're bill's\".title() }}{{ \"they're bill's\"|title }}", "{{ 'aXbX'.split('X') }}{{ 'abcabc'.rfind('c') }}{{ 'abcabc'.find('c', 3) }}{{ 'abc'.find('', 3) }}{{ 'abc'.find('', 4) }}")
    # formatting
    for e in ["'%s' % 'a'", "'%s %s' % (1, 'b')", "'%d' % 3.7", "'%d' % 'a'", "'%5d|%-5d|%05d|%+d|% d' % (42, 42, 42, 42, 42)", "'%x %X %o %#x %#o' % (255, 255, 8, 255, 8)", "'%f %.2f %e %g %G' % (1.5, 2.345, 12345.678, 0.0001, 1e20)", "'%10.3f|%-10.1f|%010.2f' % (3.14159, 2.5, -1.5)", "'%s' % none", "'%s' % [1, 'a']", "'%r %s' % ('a', 'a')", "'%%' % ()", "'%s%%' % 5", "'%c%c' % ('a', 66)", "'%(a)s-%(b)d' % {'a': 'x', 'b': 3}", "'%s' % (1, 2)", "'%s %s' % 1", "'%s' % {}", "'a' % 1", "'a' % []", "'%.2s|%5s|%-5s|' % ('abc', 'ab', 'ab')", "'%*d' % (5, 3)", "'%i' % true", "'%z' % 1", "'%' % 1", "'%s' % missing", "'%d' % missing", "'%s %s'|format('a', 'b')", "'%(x)s'|format(x=1)", "'%s'|format", "'{}'.format(1)", "'{} {}'.format('a', 2)", "'{0} {1} {0}'.format('a', 'b')", "'{x}'.format(x=3)", "'{x.y[0]}'.format(x={'y': [7]})", "'{:>5}|{:<5}|{:^5}|{:*^7}'.format('a', 'b', 'c', 'd')", "'{:05d} {:+} {:,} {:_}'.format(42, 5, 1234567, 1234567)", "'{:.2f} {:.3} {:e} {:%}'.format(3.14159, 2.71828, 12345.678, 0.256)", "'{:x} {:#x} {:b} {:o} {:X}'.format(255, 255, 5, 8, 255)", "'{!r} {!s}'.format('a', 'b')", "'{{}}'.format()", "'{} {0}'.format(1)", "'{}'.format()", "'{y}'.format(x=1)", "'{:{}}'.format('a', 5)", "'{:d}'.format('a')", "'{:s}'.format(1)", "'{:>5}'.format(none)", "'{}'.format(none)", "'{}{}'.format([1], {'a': 1})", "'{'.format()", "'}'.format()", "'{:.1f}'.format(2)", "'{:10.4f}|{:<10.2e}|'.format(1.5, 1500.0)", "'{:g} {:g} {:g}'.format(1.0, 1e10, 0.00001)", "'{:c}'.format(65)", "'{:.2}'.format('abc')", "'{a}{b}'.format_map({'a': 1, 'b': 2})", "'{:=+6d}'.format(5)", "'{:,.2f}'.format(1234567.891)", "'{:n}'.format(5)"]:
        add("{{ %s }}" % e)
    # filters
    for e in ["s|upper", "s|lower", "u|title", "'hello wORLD-foo (bar) [baz] {qux} <zip>'|title", "u|capitalize", "ws|trim", "'xxaxx'|trim('x')", "s|replace('o', '0')", "s|replace('o', '0', 1)", "n|replace('7', '8')", "lines|indent", "lines|indent(2)", "lines|indent(2, true)", "lines|indent(2, first=true, blank=true)", "lines|indent('> ')", "lines|indent(width=3)", "''|indent", "n|indent", "'a'|center(5)", "'ab'|center(5)", "s|length", "l|length", "d|length", "missing|length", "n|length", "l|count", "l|first", "l|last", "e|first", "e|last", "e|first is defined", "s|first", "s|last", "d|first", "d|last", "l|join", "l|join(', ')", "users|join(', ', attribute='name')", "mixed|join('-')", "s|join('.')", "missing|join", "n|join", "l|sort", "ls|sort", "ls|sort(case_sensitive=true)", "l|sort(reverse=true)", "users|sort(attribute='age')|map(attribute='name')|list", "users|sort(attribute='age,name')|map(attribute='name')|list", "users|sort(attribute='name', reverse=true)|map(attribute='name')|join", "mixed|sort", "d|dictsort", "d|dictsort(true)", "d|dictsort(reverse=true)", "{'x': 3, 'y': 1}|dictsort(by='value')", "{'x': 3, 'y': 1}|dictsort(false, 'value')", "d|dictsort(by='z')", "missing|dictsort", "ls|unique|list", "['a', 'A', 'b', 'a']|unique|list", "['a', 'A']|unique(true)|list", "users|unique(attribute='age')|map(attribute='name')|list", "[1, 1.0, true]|unique|list", "l|min", "l|max", "ls|min", "ls|max", "users|max(attribute='age')", "e|min", "mixed|max", "l|sum", "users|sum(attribute='age')", "l|sum(start=10)", "e|sum", "ls|sum", "fl|sum", "l|reverse|list", "s|reverse", "d|reverse|list", "range(3)|reverse|list", "l|list", "s|list", "d|list", "missing|list", "n|list", "d|items|list", "missing|items|list", "l|items|list", "l|map('string')|list", "ls|map('upper')|join(',')", "users|map(attribute='x.y')|list", "users|map(attribute='x.y', default='-')|list", "users|map(attribute='active', default=false)|list", "users|map('length')|list", "l|map|list", "l|map('nope')|list", "e|map('nope')|list", "lines.split('\\n')|map('trim')|reject('equalto', '')|list", "l|select('odd')|list", "l|reject('odd')|list", "l|select|list", "[0, 1, '', 'a', none]|select|list", "[0, 1, '', 'a', none]|reject|list", "l|select('>', 1)|list", "l|select('in', [1, 2])|list", "l|select('divisibleby', 3)|list", "users|selectattr('active')|map(attribute='name')|list", "users|selectattr('age', 'equalto', 30)|map(attribute='name')|list", "users|selectattr('x', 'defined')|list|length", "users|rejectattr('active', 'defined')|map(attribute='name')|list", "users|selectattr('x.y', '==', 2)|map(attribute='name')|list", "users|rejectattr('age', 'gt', 26)|map(attribute='name')|list", "l|select('nope')|list", "missing|select|list", "l|select('odd')", "l|select('odd')|length", "l|map('string')|first", "(l|select('odd'))[0] is defined", "n|int", "'42'|int", "' 42 '|int", "'4_2'|int", "'x'|int", "'x'|int(5)", "'x'|int(default=-1)", "'1.9'|int", "'0x1f'|int(0, 16)", "'ff'|int(0, 16)", "'101'|int(base=2)", "'0b11'|int(0, 0)", "f|int", "none|int", "t|int", "l|int", "'-7'|int", "''|int", "missing|int", "'1e3'|int", "'inf'|int", "'1.5'|float", "'x'|float", "'x'|float(1.5)", "n|float", "none|float", "'1e-3'|float", "'inf'|float", "'nan'|float", "'1_0.5'|float", "t|float", "missing|float", "2.5|round", "3.5|round", "2.675|round(2)", "1234.567|round(-2)", "7|round", "7|round(1)", "1250|round(-2)", "1350|round(-2)", "2.1|round(0, 'ceil')", "2.9|round(0, 'floor')", "42.55|round(1, 'floor')", "42.55|round(1, 'ceil')", "-2.5|round", "2.5|round|int", "2.5|round(method='x')", "s|round", "0.5|round", "1e20|round(2)", "n|abs", "neg|abs", "-2.5|abs", "s|abs", "missing|abs", "t|abs", "n|string", "none|string", "l|string", "missing|string", "1.0|string", "missing|default('x')", "none|default('x')", "none|default('x', true)", "''|default('x', true)", "0|default('x', boolean=true)", "s|default('x')", "missing|default", "missing|d(1)", "d.zz|default('x')", "missing.x|default('x')", "html|e", "html|escape", "html|safe", "html|e|e", "html|forceescape", "html|safe|forceescape", "'<'|safe + '<'", "'<' + '<'|safe", "('<'|safe) ~ '<'", "[html|safe]", "('<b>%s</b>'|safe) % '<i>'", "'<b>'|safe|replace('b', '<')", "('<'|safe).join(['<', '>'|safe])", "('<{}>'|safe).format('<')", "('<'|safe)|upper is escaped", "('a<'|safe).replace('a', '<')", "('a'|safe)|indent is escaped", "('a b'|safe).split()|first is escaped", "('ab'|safe)[0] is escaped", "('ab'|safe) * 2 is escaped", "'a' is escaped", "('<'|safe|string) + '<'", "5|e", "none|safe", "missing|e", "s|wordcount", "u|wordcount", "'foo bar baz qux'|truncate(9)", "'foo bar baz qux'|truncate(9, true)", "'foo bar baz qux'|truncate(11)", "'foo bar baz qux'|truncate(11, false, '...', 0)", "'foo'|truncate(2)", "'a b&c/d é'|urlencode", "{'a b': 'c&d', 'e': 1}|urlencode", "[('a', 1), ('b', '/')]|urlencode", "{'class': 'x', 'n': none, 'q': '\"'}|xmlattr", "{'a b': 1}|xmlattr", "13000|filesizeformat", "1|filesizeformat", "999|filesizeformat", "1300000|filesizeformat(true)", "cols|batch(3)|list", "cols|batch(3, 'x')|list", "cols|slice(3)|list", "cols|slice(3, 'x')|list", "e|batch(2)|list", "users|groupby('age')", "users|groupby('age')|map(attribute='list')|map('length')|list", "users|groupby('x.y', default=0)|map(attribute='grouper')|list", "['a', 'B', 'A', 'b']|groupby('0')|list|length", "d|attr('a') is defined", "d|attr('items') is defined", "s|attr('upper')", "s|upper|lower|title", "(s|upper)[0]", "s|upper()|length", "-5|abs", "l|first|string + 'x'", "'a,b'|replace(',', ';')|upper", "l|length > 2", "not l|length", "n + l|length", "s ~ s|length", "s|nope", "s|nope if false else 1", "s|upper|nope", "1 if true else s|nope", "s|upper(1)", "l|join(d=',', x=1)", "l|sort|first + l|sort|last", "users|map(attribute='name')|sort|join('|')", "users|map(attribute=0)|list", "[[1, 2], [3, 4]]|map('first')|list", "[[1, 2], [3, 4]]|map(attribute=1)|list", "[[3, 'c'], [1, 'a']]|sort|list", "[[3, 'c'], [1, 'a']]|sort(attribute=0)|list", "[1, [2]]|tojson|length"]:
        add("{{ %s }}" % e)
    # tojson
    for v in ["json", "d", "mixed", "fl", "s", "u", "ctl", "html", "n", "big", "none", "t", "l", "e", "ed", "(1, 2)", "nest", "users", "{1: 2, none: 3, true: 4, 1.5: 5}", "[[], {}, [[]]]"]:
        for args in ["", "(indent=2)", "(indent=0)", "(indent='\\t')", "(sort_keys=true)", "(ensure_ascii=true)", "(separators=(',', ':'))", "(indent=4, sort_keys=true)", "(indent=2, separators=(', ', ' = '))", "(true)", "(false, 1)"]:
            add("{{ %s|tojson%s }}" % (v, args))
    add("{{ missing|tojson }}", "{{ [missing]|tojson }}", "{{ range(3)|tojson }}", "{{ d.items()|tojson }}", "{{ {(1,2): 1}|tojson }}", "{{ l|select|tojson }}", "{{ namespace(a=1)|tojson }}", "{{ (html|safe)|tojson }}", "{{ mixed|tojson(sort_keys=true) }}", "{{ {'a': 1, 2: 3}|tojson(sort_keys=true) }}", "{{ ('inf'|float)|tojson }}{{ ('nan'|float)|tojson }}", "{{ json|tojson|safe }}", "{{ d|tojson(nope=1) }}")
    # tests
    for v in ["s", "n", "f", "t", "z", "l", "d", "missing", "e", "range(2)", "(1,)", "d.keys()", "l|map('string')", "namespace()", "raise_exception", "'ABC'", "'abc'", "big", "html|safe", "0", "1", "-1"]:
        for test in ["defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "true", "false", "mapping", "sequence", "iterable", "callable", "upper", "lower", "escaped", "not defined", "not none", "not string"]:
            if test in ("upper", "lower") and v in ("l|map('string')", "namespace()", "raise_exception"):
                continue
            add("{{ (%s) is %s }}" % (v, test))
    for e in ["3 is odd", "4 is odd", "4 is even", "-3 is odd", "9 is divisibleby 3", "9 is divisibleby(2)", "s is odd", "n is eq 7", "n is equalto 7", "n is ne 7", "n is lt 8", "n is gt 8", "n is ge 7", "n is le 6", "n is greaterthan 3", "n is lessthan 3", "n is in [7, 8]", "n is not in [7, 8]", "'a' is in 'abc'", "none is sameas none", "t is sameas true", "1 is sameas true", "l is sameas l", "l is sameas [3,1,2]", "'upper' is filter", "'nope' is filter", "'odd' is test", "'nope' is test", "n is nope", "1 if n is odd else 2", "n is odd and t", "n is odd or z", "missing is defined and missing.x", "n is not odd", "not n is odd", "n is string is string", "n is defined == true", "(n is defined) == true", "n is divisibleby 7 and 1", "missing.x is undefined", "d.q is undefined", "n is nope if false else 3", "l is eq l", "[n] is eq [7]", "n is eq(7)"]:
        add("{{ %s }}" % e)
    # for
    add("{% for x in l %}{{ x }},{% endfor %}", "{% for x in e %}a{% else %}none{% endfor %}", "{% for x in missing %}a{% else %}none{% endfor %}", "{% for x in none %}a{% endfor %}", "{% for x in n %}a{% endfor %}", "{% for x in s %}{{ x }}.{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}", "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k, v in d|items %}{{ k }}={{ v }};{% endfor %}", "{% for k, v in d|dictsort %}{{ k }}{% endfor %}", "{% for a, b in [[1, 2], (3, 4)] %}{{ a + b }} {% endfor %}", "{% for (a, b), c in [[[1, 2], 3]] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "{% for a, b in [[1]] %}{% endfor %}", "{% for a, b in [[1, 2, 3]] %}{% endfor %}", "{% for a, b in l %}{% endfor %}", "{% for a, b in ['xy'] %}{{ a }}-{{ b }}{% endfor %}")
    add("{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }} {% endfor %}", "{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}", "{% for x in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }} {% endfor %}", "{% for x in l %}{{ loop.previtem.y }}{% endfor %}", "{% for x in users %}{{ loop.previtem.name if not loop.first }}{{ loop.nextitem.name if not loop.last }};{% endfor %}", "{% for x in cols %}{{ loop.cycle('a', 'b', 'c') }}{% endfor %}", "{% for x in [1, 1, 2, 2, 1] %}{{ loop.changed(x) }} {% endfor %}", "{% for x in l %}{{ loop.nope }}{% endfor %}", "{% for x in l if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }}{{ loop.last }} {% endfor %}", "{% for x in l if x > 5 %}a{% else %}b{% endfor %}", "{% for x in l if x > 1 %}{{ loop.last }}{{ loop.nextitem }}{{ loop.revindex }} {% endfor %}", "{% set ns = namespace(go=true) %}{% for x in cols if ns.go %}{{ x }}{% if x == 3 %}{% set ns.go = false %}{% endif %}{% endfor %}", "{% for x in cols %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{% break %}{% endif %}{{ x }}{% endfor %}", "{% for x in cols %}{% break %}{% else %}e{% endfor %}", "{% for x in cols %}{% if x > 1 %}{% break %}{% endif %}{% else %}e{% endfor %}", "{% for x in cols %}{% continue %}{% else %}e{% endfor %}", "{% for x in l %}{% for y in l %}{{ loop.index }}{% endfor %}{{ loop.index }} {% endfor %}", "{% for x in l %}{% set outer = loop %}{% for y in e %}{% else %}{{ loop.index }}{{ outer.index }}{% endfor %}{% endfor %}", "{% for x in l %}{% set y = x %}{% endfor %}{{ y }}", "{% set y = 0 %}{% for x in l %}{% set y = y + x %}{{ y }}{% endfor %}{{ y }}", "{% for x in l %}{% endfor %}{{ x is defined }}", "{% for n in l %}{{ n }}{% endfor %}{{ n }}", "{{ loop is defined }}", "{% for x in l %}{% endfor %}{{ loop }}", "{% for i in range(3) %}{% for j in range(i) %}{{ i }}{{ j }} {% endfor %}{% endfor %}", "{% for x in l|sort|reverse %}{{ x }}{% endfor %}", "{% for x in l[::-1] %}{{ x }}{% endfor %}", "{% for x in (1, 2) %}{{ x }}{% endfor %}", "{% for x in 1, 2 %}{{ x }}{% endfor %}", "{% for x in l if loop.index > 1 %}{% endfor %}", "{% for loop in l %}{% endfor %}", "{% for x in l recursive %}{{ x }}{% endfor %}", "{% for x in tree recursive %}[{{ x.v }}:{{ loop.depth }}{{ loop(x.c) }}]{% endfor %}", "{% for x in tree recursive %}{{ loop.index }}{% if x.c %}({{ loop(x.c) }}){% endif %}{% else %}-{% endfor %}", "{% for x in l %}{{ loop(x) }}{% endfor %}", "{% set it = l|map('string') %}{% for x in it %}{{ x }}{% endfor %}{% for x in it %}{{ x }}{% else %}empty{% endfor %}", "{% for x in l %}{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}", "{% for x in l|select('odd') %}{{ loop.length }}{{ loop.last }}{% endfor %}", "{% for a in l %}{% for b in l if b != a %}{{ a }}{{ b }} {% endfor %}{% endfor %}", "{% break %}", "{% for x in l %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}", "{% for x in l %}{{ loop is defined }}{{ loop is iterable }}{{ loop is callable }}{{ loop|length }}{% endfor %}")
    # if, set, with, scopes
    add("{% if n == 7 %}a{% elif n %}b{% else %}c{% endif %}", "{% if 0 %}a{% elif n > 5 %}b{% elif t %}x{% else %}c{% endif %}", "{% if missing %}a{% else %}b{% endif %}", "{% if not missing %}a{% endif %}", "{% if e %}a{% elif '' %}b{% elif 0.0 %}c{% elif {} %}d{% else %}f{% endif %}", "{% if n > 5 and s %}{% set x = 1 %}{% endif %}{{ x }}", "{% if false %}{% set x = 1 %}{% endif %}{{ x is defined }}", "{% if false %}{% set n = 1 %}{% endif %}{{ n }}", "{% set n = n + 1 %}{{ n }}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a, b = l %}", "{% set (a, b) = (1, 2) %}{{ b }}", "{% set x %}a{{ n }}b{% endset %}{{ x }}|{{ x|length }}", "{% set x | upper %}abc{% endset %}{{ x }}", "{% set x | replace('a', 'b') | upper %}aa{% endset %}{{ x }}", "{% set x %}{% set y = 1 %}{% endset %}{{ y is defined }}", "{% set x = 1, %}{{ x }}", "{% set d.x = 1 %}", "{% set ns = namespace() %}{% set ns.x = 1 %}{{ ns.x }}", "{% set ns = namespace(a=1, b='x') %}{% set ns.a = ns.a + 1 %}{{ ns.a }}{{ ns.b }}{{ ns.c is defined }}", "{% set ns = namespace({'q': 2}, r=3) %}{{ ns.q }}{{ ns['r'] }}", "{% set ns = namespace(x=0) %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}", "{% set ns = namespace(l=[]) %}{% for i in l %}{% set ns.l = ns.l + [i] %}{% endfor %}{{ ns.l }}", "{% set ns = namespace() %}{{ ns.zz }}|{{ ns.zz is defined }}|{{ ns.zz.y }}", "{{ namespace(a=1) }}", "{% set ns = namespace(_x=1) %}", "{% set ns = namespace() %}{% set ns._x = 1 %}", "{% set ns = namespace(s='a') %}{% set ns.s %}{{ ns.s }}b{% endset %}{{ ns.s }}", "{% set ns = namespace(a=0, b=0) %}{% set ns.a, ns.b = 1, 2 %}{{ ns.a }}{{ ns.b }}", "{% with %}{% set x = 1 %}{{ x }}{% endwith %}{{ x is defined }}", "{% with a = 1, b = n %}{{ a + b }}{% endwith %}{{ a is defined }}", "{% set a = 1 %}{% with a = 2, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}", "{% with a, b = (1, 2) %}{{ a }}{% endwith %}", "{% set x = 1 %}{% with %}{% set x = 2 %}{% endwith %}{{ x }}", "{% filter upper %}abc{{ s }}{% endfilter %}", "{% filter replace('a', 'b')|upper %}aaa{% endfilter %}", "{% filter trim %}  x  {% endfilter %}|", "{% filter upper %}{% set y = 1 %}{% endfilter %}{{ y is defined }}", "{% generation %}x{{ n }}{% endgeneration %}", "{% generation %}{% set y = 1 %}{% endgeneration %}{{ y is defined }}", "{% print n %}{% print n, s %}", "{% set true = 1 %}", "{% set s.x = 1 %}", "{% set x = y = 1 %}", "{{ x }}{% set x = 1 %}{{ x }}", "{% set loop = 5 %}{{ loop }}", "{% set range = 3 %}{{ range }}", "{% set x = 1 if false %}{{ x is defined }}", "{% set x = missing %}{{ x is defined }}", "{% set x = none %}{{ x is defined }}{{ x is none }}", "{% set l = l + [4] %}{{ l }}")
    # macros
    add("{% macro m(a, b=2) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(b=5, a=4) }}{{ m() }}", "{% macro m(a) %}{{ a is defined }}{% endmacro %}{{ m() }}{{ m(none) }}", "{% macro m() %}x{% endmacro %}{{ m(1) }}", "{% macro m() %}x{% endmacro %}{{ m(a=1) }}", "{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, k=4) }}", "{% macro m() %}{{ caller() }}!{% endmacro %}{% call m() %}in{% endcall %}", "{% macro m() %}{{ caller('x', 2) }}{% endmacro %}{% call(a, b=1) m() %}{{ a }}{{ b }}{% endcall %}", "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}", "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}{% call m() %}{% endcall %}", "{% macro m(n) %}{{ n }}{% if n > 0 %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(3) }}", "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}", "{{ m() }}{% macro m() %}x{% endmacro %}", "{% macro m(x, y=x) %}{{ y }}{% endmacro %}{{ m(5) }}", "{% macro m() %}{{ n }}{% endmacro %}{{ m() }}", "{% set q = 1 %}{% macro m() %}{{ q }}{% endmacro %}{% set q = 2 %}{{ m() }}", "{% macro m() %}{% set q = 1 %}{{ q }}{% endmacro %}{{ m() }}{{ q is defined }}", "{% macro m() %} a {% endmacro %}{{ m()|trim }}{{ m()|length }}", "{% macro m(a) %}{{ a|length }}{% endmacro %}{{ m([1, 2]) }}{{ m('abc') }}", "{% set x = m %}{{ x }}", "{% macro m(a) %}{% endmacro %}{{ m }}", "{% macro m(a, a) %}{% endmacro %}", "{% macro m(a=1, b) %}{% endmacro %}", "{% macro m(*a) %}{% endmacro %}", "{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(*[1, 2]) }}{{ m(**{'a': 3, 'b': 4}) }}{{ m(1, *[2]) }}", "{% macro m(p) %}{% for x in p %}{{ x.v }}{{ m(x.c) }}{% endfor %}{% endmacro %}{{ m(tree) }}", "{% for x in l %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %}", "{% macro m(x) %}{% if x %}{{ return }}{% endif %}{% endmacro %}{{ m(1) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(a=1, a=2) }}", "{% macro outer() %}{% macro inner(x) %}<{{ x }}>{% endmacro %}{{ inner(1) }}{{ inner(2) }}{% endmacro %}{{ outer() }}", "{% macro m(caller=none) %}{{ caller }}{% endmacro %}{{ m() }}", "{% macro m(x) %}{{ x.y.z }}{% endmacro %}{{ m({}) }}", "{% macro m() %}{{ loop is defined }}{% endmacro %}{% for x in l %}{{ m() }}{% endfor %}", "{% macro m(a, b='') %}{{ a ~ b }}{% endmacro %}{{ m('x') + m('y', 'z') }}")
    # white space
    add("a\n{% if t %}\nb\n{% endif %}\nc\n", "a\n  {% if t %}  \n  b\n  {% endif %}\nc", "a  {%- if t -%}  b  {%- endif -%}  c", "a  {%+ if t %}b{% endif %}", "a\n  {%+ if t %}\n b{%+ endif +%}\nc", "a {{- n -}} b", "a  {{ n }}  b", "  {{ n }}\n  {{ n }}\n", "a\n{# c #}\nb", "a\n   {# c #}\nb", "a {#- c -#} b", "a {#+ c #} b", "{# multi\nline #}x", "\n\n{% if t %}x{% endif %}\n\n", "x\n", "x\n\n", "x\r\ny\rz", "{%- if t %}\n\n x{%- endif %}", "a\n\n{%- if t %}b{% endif %}", "{% if t -%}\n\n  x\n\n{%- endif %}", "{% raw %}{{ x }}{% if %}{% endraw %}", "a\n  {% raw %}\n {{ x }}\n  {% endraw %}\nb", "a {%- raw -%} x {%- endraw -%} b", "{% raw %}{% endraw %}", "  {% set x = 1 %}  y", "\t{% if t %}\tx\t{% endif %}\t\n", "{{ '{{' }}{{ '}}' }}{{ '%}' }}", "{{ {'a': {'b': 1}} }}", "{{ {'a': {'b': 1}}}}", "{ { } } {x} {", "{{ 1 }}{", "a{", "{", "%} }}", "{{n}}", "{%if t%}x{%endif%}", "{% if t %}{# c #}{% endif %}\nx", "{%- for x in l -%}\n {{ x }}\n{%- endfor -%}", "a\n \t {%- if t %} b {% endif -%} \n c", "{{ n\n }}", "{%\nif t\n%}x{% endif %}", "a\u00a0{%- if t %}b{% endif %}", "a\n\u00a0{% if t %}b{% endif %}", "{% if t %}\n{% if t %}\nx\n{% endif %}\n{% endif %}\n", "x {% if t +%}\ny{% endif %}", "{{ n -}}\n\n {{- n }}", "{{ '\n' }}x", "{% for x in l %}\n  {{ x }}\n{% endfor %}")
    # calls and globals
    add("{{ dict(a=1, b=2) }}{{ dict({'x': 1}, y=2) }}{{ dict([('a', 1)]) }}", "{{ range() }}", "{{ range('a') }}", "{{ range(1, 2, 0) }}", "{{ range(100001) }}", "{{ range(100000)|length }}", "{{ range(-5)|list }}", "{% set j = joiner('|') %}{% for x in l %}{{ j() }}{{ x }}{% endfor %}", "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{% set _ = c.reset() %}{{ c.next() }}", "{{ raise_exception('Boom: ' ~ n) }}", "{% if n > 100 %}{{ raise_exception('no') }}{% endif %}ok", "{{ raise_exception(none) }}", "{{ strftime_now('%Y-%m-%d %H:%M:%S %j %A %B %d %b %y %%') }}", "{{ strftime_now('%d %B %Y') }}", "{{ s() }}", "{{ missing() }}", "{{ d.a() }}", "{{ none() }}", "{{ 5() }}", "{{ [1](0) }}", "{{ s.upper()|lower()|length }}", "{{ d.get(*['a']) }}", "{{ '{}{}'.format(*[1, 2]) }}{{ '{a}'.format(**{'a': 1}) }}", "{{ s.split(' ')[0].upper()[::-1] }}", "{{ dict(a=1).a }}", "{{ (1, 2) | first }}", "{{ ['a', 'b'][0] ~ 'c' }}", "{{ 'abc'.upper() }}", "{{ [x for x in l] }}", "{{ lambda x: x }}", "{{ l.append }}")
    # syntax errors and unsupported constructs
    add("{{ }}", "{{ 1", "{% if %}x{% endif %}", "{% if t %}x", "{% endif %}", "{% for x l %}{% endfor %}", "{% for x in l %}", "{% nope %}", "{{ 1 + }}", "{{ (1 }}", "{{ 1) }}", "{{ [1 }}", "{{ a b }}", "{{ 'abc }}", "{{ a. }}", "{{ a | }}", "{{ a is }}", "{# x", "{% raw %}x", "{{ a ? b }}", "{{ 1 if }}", "{% set %}", "{% set 1 = 2 %}", "{% macro %}{% endmacro %}", "{% call x %}{% endcall %}", "{{ f(a=1, 2) }}", "{{ f(**a, *b) }}", "{% if t %}{% else %}{% elif t %}{% endif %}", "{% for x in l %}{% endif %}", "{{ a.1.2 }}", "{{ 01 }}", "{{ @ }}", "{{ a! }}", "{{ $x }}", "{{ 1 is 2 }}", "{% do x %}", "{{ a[ }}", "{{ {a} }}", "{{ {'a' 1} }}", "{{ !a }}", "{{ a && b }}", "{{ a || b }}", "{{ a = 1 }}", "{%- end -%}", "{% else %}", "{{ not }}", "{{ not not t }}", "{{ x if y else }}")
    return list(dict.fromkeys(u))


def main():
    folder = pathlib.Path(sys.argv[1])
    inputs = conversations()
    result = {"made_with": f"jinja2 {jinja2.__version__}, set up as transformers does", "now": NOW, "inputs": inputs, "templates": {}, "variables": VARS, "unit": []}
    for path in sorted(folder.glob("*.jinja")):
        source = path.read_text(encoding="utf-8")
        result["templates"][path.name] = {name: outcome(source, variables(c)) for name, c in inputs.items()}
    for source in units():
        got = outcome(source, VARS)
        if " at 0x" not in got.get("text", ""):  # a memory address: no expectation
            result["unit"].append({"template": source, **got})
    json.dump(result, sys.stdout, ensure_ascii=False, indent=0)
    print()


main()
