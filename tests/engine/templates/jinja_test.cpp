// The interpreter against the reference: every construct of scripts/render_templates.py, and what the
// reference has no limit for.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "engine/templates/jinja_eval.h"
#include "engine/templates/jinja_parser.h"
#include "engine/templates/jinja_text.h"
#include "support/json.h"
#include "support/limits.h"
#include "tests/paths.h"

namespace verge::engine::jinja {
namespace {

json::object expected() {
  std::ifstream in(std::string(verge::test_data_folder()) + "/templates/expected.json", std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  auto parsed = parse_json(text.str());
  EXPECT_TRUE(parsed.ok()) << (parsed.ok() ? "" : parsed.error().message);
  return parsed.ok() ? parsed->get_object() : json::object();
}

Result<std::string> run(std::string_view source, const json::object& variables = {}, int64_t now = 1'721'995'200) {
  VERGE_ASSIGN(t, parse(source));
  VERGE_ASSIGN(out, render(t, {}, variables, now));
  return std::move(out.text);
}

TEST(Jinja, RendersEveryConstructAsTheReference) {
  json::object data = expected();
  ASSERT_GT(data["unit"].get_array().size(), 1500u);
  const json::object& variables = data["variables"].get_object();
  for (const json::value& item : data["unit"].get_array()) {
    const json::object& unit = item.get_object();
    std::string source(unit.at("template").get_string());
    auto got = run(source, variables);
    if (const json::value* text = unit.if_contains("text")) {
      EXPECT_TRUE(got.ok()) << source << "\n  fails: " << (got.ok() ? "" : got.error().message) << "\n  expected: " << text->get_string();
      if (!got.ok()) continue;
      EXPECT_EQ(*got, std::string_view(text->get_string())) << source;
      continue;
    }
    EXPECT_FALSE(got.ok()) << source << "\n  gives: " << (got.ok() ? *got : "") << "\n  expected: " << json::serialize(unit);
    if (got.ok()) continue;
    if (const json::value* raised = unit.if_contains("raised")) {
      EXPECT_EQ(got.error().message, std::string_view(raised->get_string())) << source;
    } else if (const json::value* undefined = unit.if_contains("undefined")) {
      EXPECT_NE(got.error().message.find(std::string_view(undefined->get_string())), std::string::npos)
          << source << "\n  " << got.error().message << "\n  " << undefined->get_string();
    } else if (unit.contains("syntax")) {
      EXPECT_EQ(got.error().code, Code::LoadFailed) << source << "\n  " << got.error().message;
    } else {
      EXPECT_EQ(got.error().code, Code::InvalidInput) << source << "\n  " << got.error().message;
    }
  }
}

void expect_limited(std::string_view source, const json::object& variables = {}) {
  auto got = run(source, variables);
  ASSERT_FALSE(got.ok()) << source.substr(0, 200) << " gives " << got->size() << " bytes";
  EXPECT_TRUE(got.error().code == Code::InvalidInput || got.error().code == Code::LoadFailed) << got.error().message;
  EXPECT_LT(got.error().message.size(), 400u);
}

TEST(Jinja, EndlessWorkIsStopped) {
  expect_limited("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}");
  expect_limited("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}");
  expect_limited("{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}");
  expect_limited("{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}");
  expect_limited("{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{{ m() }}");
  expect_limited("{% for x in [[1]] recursive %}{{ loop([x]) }}{% endfor %}");
  expect_limited("{% for x in [1] recursive %}{% for y in [1] %}{{ loop is defined }}{% endfor %}{{ loop([1]) }}{% endfor %}");
  expect_limited("{{ range(0, 10 ** 18) }}");
  expect_limited("{{ range(-(10 ** 18), 10 ** 18, 3)|list }}");
}

TEST(Jinja, LargeValuesAreRefused) {
  expect_limited("{{ 'a' * 10**9 }}");
  expect_limited("{{ [1] * 10**9 }}");
  expect_limited("{{ (('a' * 10**7) ~ ('a' * 10**7)) }}");
  expect_limited("{% set ns = namespace(s='a') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}");
  expect_limited("{% set ns = namespace(s='a') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}");
  expect_limited("{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = ns.l + ns.l %}{% endfor %}");
  expect_limited("{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}");
  expect_limited("{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l|tojson }}");
  expect_limited(
      "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}"
      "{{ ns.a == ns.b }}");
  expect_limited("{{ 'x'.center(10**12) }}");
  expect_limited("{{ 'x'.zfill(10**12) }}");
  expect_limited("{{ 'x'.ljust(2**62) }}");
  expect_limited("{{ '%1000000000d' % 1 }}");
  expect_limited("{{ '%.1000000000f' % 1 }}");
  expect_limited("{{ '%*d' % (10**12, 1) }}");
  expect_limited("{{ '{:1000000000}'.format(1) }}");
  expect_limited("{{ '{:.1000000000f}'.format(1.0) }}");
  expect_limited("{{ 'a\t'.expandtabs(10**12) }}");
  expect_limited("{{ ('a' * 10**6).replace('a', 'b' * 10**6) }}");
  expect_limited("{{ ('a' * 10**6).replace('', 'b' * 10**6) }}");
  expect_limited("{{ ('a' * 10**6).join('b' * 1000) }}");
  expect_limited("{{ range(100000)|join('a' * 1000) }}");
  expect_limited("{{ [1]|tojson(indent=10**9) }}");
  expect_limited("{{ 'a\nb'|indent(10**9) }}");
  expect_limited("{{ [1]|batch(10**9, 0)|list }}");
  expect_limited("{{ [1]|slice(10**9)|list }}");
  expect_limited("{% for i in range(100000) %}{{ 'a' * 10000 }}{% endfor %}");
  expect_limited("{% set x %}{% for i in range(100000) %}{{ 'a' * 10000 }}{% endfor %}{% endset %}");
  expect_limited("{{ 2 ** 1000 }}");
  expect_limited("{{ 9 ** 9 ** 9 ** 9 }}");
  expect_limited("{% set ns = namespace(x=3) %}{% for i in range(99) %}{% set ns.x = ns.x * ns.x %}{% endfor %}");
  expect_limited("{{ 99999999999999999999999999999999999999999 }}");
  expect_limited("{% set ns = namespace(l=[]) %}{% for i in range(90000) %}{% set ns.l = ns.l + ['a' * 10000] %}{% endfor %}");
}

TEST(Jinja, DeepNestingIsRefused) {
  auto nested = [](std::string_view open, std::string_view inside, std::string_view close, int n) {
    std::string out = "{{ ";
    for (int i = 0; i < n; ++i) out += open;
    out += inside;
    for (int i = 0; i < n; ++i) out += close;
    return out + " }}";
  };
  for (int n : {1000, 100000}) {
    expect_limited(nested("(", "1", ")", n));
    expect_limited(nested("[", "1", "]", n));
    expect_limited(nested("{1:", "1", "}", n));
    expect_limited(nested("-", "1", "", n));
    expect_limited(nested("not ", "1", "", n));
    expect_limited(nested("f(", "1", ")", n));
    expect_limited(nested("x[", "1", "]", n));
    expect_limited(nested("1 if ", "1", "", n));
    expect_limited(nested("1 + ", "1", "", n));
    expect_limited(nested("1 and ", "1", "", n));
    expect_limited(nested("", "x", ".y", n));
    expect_limited(nested("", "x", "|upper", n));
    expect_limited(nested("", "x", "[1]", n));
    expect_limited(nested("", "x", "()", n));
    expect_limited(nested("1 if 1 else ", "1", "", n));
    std::string blocks;
    for (int i = 0; i < n; ++i) blocks += "{% if 1 %}";
    expect_limited(blocks);
    std::string targets = "{% set ";
    for (int i = 0; i < n; ++i) targets += "(";
    expect_limited(targets);
  }
  expect_limited("{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = [ns.l] %}{% endfor %}");
  expect_limited("{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = {'a': ns.l} %}{% endfor %}");
  expect_limited("{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = [ns.l]|select %}{% endfor %}");
  expect_limited("{% set ns = namespace(l='') %}{% for i in range(100000) %}{% set ns.l = [ns.l].index %}{% endfor %}");
  expect_limited("{% set ns = namespace(l='') %}{% for i in range(100000) %}{% set ns.l = cycler(ns.l) %}{% endfor %}");
  expect_limited("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}");
}

TEST(Jinja, LongChainsThatAreNotDeepAreFine) {
  std::string sum = "{{ ''", elifs = "{% if 0 %}";
  for (int i = 0; i < 2000; ++i) sum += " ~ 'a'";
  for (int i = 0; i < 2000; ++i) elifs += "{% elif 0 %}";
  auto text = run(sum + " }}");
  ASSERT_TRUE(text.ok()) << text.error().message;
  EXPECT_EQ(text->size(), 2000u);
  auto last = run(elifs + "{% else %}z{% endif %}");
  ASSERT_TRUE(last.ok()) << last.error().message;
  EXPECT_EQ(*last, "z");
  // A conditional value is read once however deep its parentheses are.
  std::string nested = "1";
  for (int i = 0; i < 60; ++i) nested = "(" + nested + " if 1)";
  auto value = run("{{ " + nested + " }}");
  ASSERT_TRUE(value.ok()) << value.error().message;
  EXPECT_EQ(*value, "1");
}

TEST(Jinja, CyclesAndEscapedMacrosAreHarmless) {
  EXPECT_EQ(*run("{% set ns = namespace() %}{% set ns.me = ns %}{% set ns.l = [ns, [ns]] %}{{ ns.me.me.l|length }}"), "2");
  EXPECT_EQ(*run("{% set ns = namespace() %}{% for x in [ns] %}{% set ns.loop = loop %}{{ loop.changed(loop) }}{% endfor %}"), "True");
  EXPECT_EQ(*run("{% macro m() %}{% set ns.c = caller %}{{ caller() }}{% endmacro %}{% set ns = namespace() %}{% call m() %}x{% endcall %}{{ ns.c() }}"), "xx");
  // A macro that outlives its scope says so.
  auto gone = run("{% set ns = namespace() %}{% for x in [1] %}{% macro m() %}{{ x }}{% endmacro %}{% set ns.m = m %}{% endfor %}{{ ns.m() }}");
  ASSERT_FALSE(gone.ok());
  EXPECT_NE(gone.error().message.find("outside the scope"), std::string::npos) << gone.error().message;
  auto changed = run("{% set ns = namespace() %}{% for x in [1] %}{% set ns.f = loop.changed %}{% endfor %}{{ ns.f(1) }}");
  EXPECT_FALSE(changed.ok());
}

TEST(Jinja, UnsupportedConstructsFailWhenCompiled) {
  for (std::string_view source : {"{% block a %}{% endblock %}", "{% extends 'x' %}", "{% include 'x' %}", "{% import 'x' as y %}", "{% from 'x' import y %}",
                                  "{% autoescape true %}{% endautoescape %}", "{% trans %}{% endtrans %}", "{{ x|pprint }}", "{{ x|random }}", "{{ x|urlize }}",
                                  "{{ x|wordwrap }}", "{{ x|striptags }}", "{% if 0 %}{{ x|pprint }}{% endif %}"}) {
    auto parsed = parse(source);
    ASSERT_FALSE(parsed.ok()) << source;
    EXPECT_EQ(parsed.error().code, Code::LoadFailed);
    EXPECT_NE(parsed.error().message.find("not supported"), std::string::npos) << parsed.error().message;
  }
}

TEST(Jinja, ErrorsNameTheLine) {
  auto syntax = parse("a\nb\n{{ 1 + }}");
  ASSERT_FALSE(syntax.ok());
  EXPECT_NE(syntax.error().message.find("line 3"), std::string::npos) << syntax.error().message;
  auto runtime = run("a\n{% if true %}\n{{ x.y }}\n{% endif %}");
  ASSERT_FALSE(runtime.ok());
  EXPECT_EQ(runtime.error().message, "chat template, line 3: 'x' is undefined");
}

TEST(Jinja, BytesThatAreNotUtf8PassThrough) {
  EXPECT_EQ(*run("a\xff\xc3{{ 'b\xfe' }}\xed\xa0\x80"), "a\xff\xc3" "b\xfe\xed\xa0\x80");
  EXPECT_EQ(*run("{{ 'a\xff\xe2\x82z'|length }}{{ 'a\xff\xe2\x82z'[1:3] }}{{ 'a\xff'|upper }}{{ '\xff\xff '|trim }}"), "5\xff\xe2" "A\xff\xff\xff");
}

TEST(JinjaText, FloatsPrintShortestAsPythonDoes) {
  EXPECT_EQ(text::repr(0.1), "0.1");
  EXPECT_EQ(text::repr(1e16), "1e+16");
  EXPECT_EQ(text::repr(123456789012345680.0), "1.2345678901234568e+17");
  EXPECT_EQ(text::repr(9999999999999998.0), "9999999999999998.0");
  EXPECT_EQ(text::repr(0.0001), "0.0001");
  EXPECT_EQ(text::repr(0.00001), "1e-05");
  EXPECT_EQ(text::repr(-0.0), "-0.0");
  EXPECT_EQ(text::repr(1e-310), "1e-310");
}

}  // namespace
}  // namespace verge::engine::jinja
