// A task's struct <-> its JSON. A struct names its members once, in
//   template <class Self, class Visit> static void fields(Self& self, Visit& visit) { visit("text", self.text); … }
// and is then written by write_fields() and read by read_fields().
//
// Written: optionals that have no value, lists, texts and objects that are empty and flags that are false are left out. Read: what is absent
// or null keeps the struct's default; a value of another type is InvalidInput, whose pointer says where.
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "support/error.h"
#include "support/json.h"

namespace verge::protocol {

class FieldWriter;
class FieldReader;

template <class T>
concept HasFields = requires(T& value, FieldReader& reader) { T::fields(value, reader); };

template <HasFields T>
json::object write_fields(const T& value);
template <HasFields T>
verge::Result<T> read_fields(const json::object& object, std::string at = "");

class FieldWriter {
 public:
  template <class T>
  void operator()(const char* name, const T& value) {
    if constexpr (requires { value.empty(); }) {
      if (value.empty()) return;
    }
    object_[name] = json_of(value);
  }
  void operator()(const char* name, bool value) {
    if (value) object_[name] = true;
  }
  template <class T>
  void operator()(const char* name, const std::optional<T>& value) {
    if (value) object_[name] = json_of(*value);
  }
  json::object take() { return std::move(object_); }

 private:
  template <class T>
  static json::value json_of(const T& value) {
    if constexpr (HasFields<T>) return write_fields(value);
    else return json::value(value);
  }
  template <class T>
  static json::value json_of(const std::vector<T>& values) {
    json::array list;
    list.reserve(values.size());
    for (const T& value : values) list.push_back(json_of(value));
    return list;
  }

  json::object object_;
};

class FieldReader {
 public:
  // `at`: JSON pointer of the object.
  FieldReader(const json::object& object, std::string at) : object_(object), at_(std::move(at)) {}

  template <class T>
  void operator()(const char* name, T& to) {
    const json::value* value = object_.if_contains(name);
    if (error_ || !value || value->is_null()) return;
    read(*value, at_ + "/" + name, to);
  }
  const std::optional<Error>& error() const { return error_; }

 private:
  void refuse(const std::string& at, const char* wanted) { error_ = fail_at(Code::InvalidInput, at, "'{}' must be {}", at, wanted); }

  void read(const json::value& value, const std::string& at, bool& to) { value.is_bool() ? void(to = value.get_bool()) : refuse(at, "a boolean"); }
  template <std::integral T>
  void read(const json::value& value, const std::string& at, T& to) {
    const int64_t* number = value.if_int64();
    if (!number || !std::in_range<T>(*number)) return refuse(at, "an integer");
    to = static_cast<T>(*number);
  }
  template <std::floating_point T>
  void read(const json::value& value, const std::string& at, T& to) {
    value.is_number() ? void(to = value.to_number<T>()) : refuse(at, "a number");
  }
  void read(const json::value& value, const std::string& at, std::string& to) { value.is_string() ? void(to = value.get_string()) : refuse(at, "a text"); }
  void read(const json::value& value, const std::string& at, json::object& to) { value.is_object() ? void(to = value.get_object()) : refuse(at, "an object"); }
  void read(const json::value& value, const std::string& at, json::array& to) { value.is_array() ? void(to = value.get_array()) : refuse(at, "a list"); }
  template <class T>
  void read(const json::value& value, const std::string& at, std::optional<T>& to) {
    read(value, at, to.emplace());
  }
  template <class T>
  void read(const json::value& value, const std::string& at, std::vector<T>& to) {
    const json::array* list = value.if_array();
    if (!list) return refuse(at, "a list");
    to.resize(list->size());
    for (size_t i = 0; i < list->size() && !error_; ++i) read((*list)[i], at + "/" + std::to_string(i), to[i]);
  }
  template <HasFields T>
  void read(const json::value& value, const std::string& at, T& to) {
    const json::object* object = value.if_object();
    if (!object) return refuse(at, "an object");
    FieldReader inner(*object, at);
    T::fields(to, inner);
    error_ = inner.error_;
  }

  const json::object& object_;
  std::string at_;
  std::optional<Error> error_;
};

template <HasFields T>
json::object write_fields(const T& value) {
  FieldWriter writer;
  T::fields(value, writer);
  return writer.take();
}

template <HasFields T>
verge::Result<T> read_fields(const json::object& object, std::string at) {
  T out;
  FieldReader reader(object, std::move(at));
  T::fields(out, reader);
  if (reader.error()) return *reader.error();
  return out;
}

}  // namespace verge::protocol
