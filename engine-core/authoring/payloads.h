// C++ values as payloads. Numbers, text, lists, maps, optionals, structs named with LOCKSTEP_JSON and JSON itself travel as
// json/plain, protobuf messages as json/protobuf (binary/protobuf is read as well), so that every SDK's default converter
// understands them. What goes out is canonical: equal values give equal bytes.
//
//   struct Order {
//     std::string item;
//     int64_t count = 1;
//     std::optional<std::string> note;
//   };
//   LOCKSTEP_JSON(Order, item, count, note)
//
// Reading checks: a missing member without std::optional, a wrong kind or a number out of range is PAYLOAD_UNREADABLE and
// names the place as a JSON Pointer. Unknown members are ignored, so that a sender may be newer.
#pragma once

#include <google/protobuf/message.h>

#include <concepts>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine-core/base/json.h"
#include "engine-core/base/result.h"
#include "engine-core/workflow/outcome.h"
#include "engine-core/workflow/payload.h"
#include "engine-core/workflow/wf.h"

namespace lockstep::workflow {

namespace internal {

template <typename T>
concept ProtobufMessage = std::derived_from<T, google::protobuf::Message>;

Error Unreadable(const std::string& pointer, std::string_view expected, std::string_view found);
Payload EncodeMessage(const google::protobuf::Message& message);
Status DecodeMessage(const Payload& payload, google::protobuf::Message* message);

template <typename T>
struct IsOptional : std::false_type {};
template <typename T>
struct IsOptional<std::optional<T>> : std::true_type {};

}  // namespace internal

// --- JSON ----------------------------------------------------------------------------------------------------------------

// One struct for each kind of value: `To` makes JSON, `From` reads it. LOCKSTEP_JSON adds those of a struct.
template <typename T>
struct JsonCodec;

template <typename T>
Json ToJsonValue(const T& value) {
  return JsonCodec<T>::To(value);
}
template <typename T>
Result<T> FromJsonValue(const Json& json, const std::string& pointer = {}) {
  return JsonCodec<T>::From(json, pointer);
}

template <>
struct JsonCodec<Json> {
  static Json To(const Json& value) { return value; }
  static Result<Json> From(const Json& json, const std::string&) { return json; }
};
template <>
struct JsonCodec<bool> {
  static Json To(bool value) { return Json(value); }
  static Result<bool> From(const Json& json, const std::string& pointer) {
    if (!json.is_bool()) return std::unexpected(internal::Unreadable(pointer, "boolean", json.KindName()));
    return json.AsBool();
  }
};
template <std::integral T>
struct JsonCodec<T> {
  static Json To(T value) { return Json(static_cast<int64_t>(value)); }
  static Result<T> From(const Json& json, const std::string& pointer) {
    if (!json.is_int()) return std::unexpected(internal::Unreadable(pointer, "integer", json.KindName()));
    if (!std::in_range<T>(json.AsInt())) {
      return std::unexpected(internal::Unreadable(pointer, "integer of " + std::to_string(sizeof(T)) + " bytes", std::to_string(json.AsInt())));
    }
    return static_cast<T>(json.AsInt());
  }
};
template <std::floating_point T>
struct JsonCodec<T> {
  static Json To(T value) { return Json(static_cast<double>(value)); }
  static Result<T> From(const Json& json, const std::string& pointer) {
    if (!json.is_number()) return std::unexpected(internal::Unreadable(pointer, "number", json.KindName()));
    return static_cast<T>(json.AsDouble());
  }
};
template <>
struct JsonCodec<std::string> {
  static Json To(const std::string& value) { return Json(value); }
  static Result<std::string> From(const Json& json, const std::string& pointer) {
    if (!json.is_string()) return std::unexpected(internal::Unreadable(pointer, "string", json.KindName()));
    return json.AsString();
  }
};
template <>
struct JsonCodec<Unit> {
  static Json To(Unit) { return Json(); }
  static Result<Unit> From(const Json&, const std::string&) { return Unit{}; }
};
template <typename T>
struct JsonCodec<std::optional<T>> {
  static Json To(const std::optional<T>& value) { return value ? JsonCodec<T>::To(*value) : Json(); }
  static Result<std::optional<T>> From(const Json& json, const std::string& pointer) {
    if (json.is_null()) return std::optional<T>();
    LOCKSTEP_ASSIGN(T value, JsonCodec<T>::From(json, pointer));
    return std::optional<T>(std::move(value));
  }
};
template <typename T>
struct JsonCodec<std::vector<T>> {
  static Json To(const std::vector<T>& values) {
    Json array = Json::MakeArray();
    for (const auto& value : values) array.Push(JsonCodec<T>::To(value));
    return array;
  }
  static Result<std::vector<T>> From(const Json& json, const std::string& pointer) {
    if (!json.is_array()) return std::unexpected(internal::Unreadable(pointer, "array", json.KindName()));
    std::vector<T> values;
    for (const Json& element : json.AsArray()) {
      LOCKSTEP_ASSIGN(T value, JsonCodec<T>::From(element, pointer + "/" + std::to_string(values.size())));
      values.push_back(std::move(value));
    }
    return values;
  }
};
template <typename T>
struct JsonCodec<std::map<std::string, T>> {
  static Json To(const std::map<std::string, T>& values) {
    Json object = Json::MakeObject();
    for (const auto& [key, value] : values) object.Set(key, JsonCodec<T>::To(value));
    return object;
  }
  static Result<std::map<std::string, T>> From(const Json& json, const std::string& pointer) {
    if (!json.is_object()) return std::unexpected(internal::Unreadable(pointer, "object", json.KindName()));
    std::map<std::string, T> values;
    for (const auto& [key, element] : json.AsObject()) {
      LOCKSTEP_ASSIGN(T value, JsonCodec<T>::From(element, pointer + "/" + JsonPointerToken(key)));
      values.emplace(key, std::move(value));
    }
    return values;
  }
};

namespace internal {

template <typename T>
Status ReadMember(const Json& object, std::string_view name, const std::string& pointer, T* member) {
  const Json* found = object.Find(name);
  const std::string place = pointer + "/" + JsonPointerToken(name);
  if (found == nullptr) {
    if constexpr (IsOptional<T>::value) return {};
    return std::unexpected(Unreadable(place, "a value", "nothing"));
  }
  LOCKSTEP_ASSIGN(*member, JsonCodec<T>::From(*found, place));
  return {};
}
template <typename T>
void WriteMember(const T& member, std::string_view name, Json* object) {
  if constexpr (IsOptional<T>::value) {
    if (!member) return;  // left out, as most readers expect
  }
  object->Set(name, JsonCodec<T>::To(member));
}

}  // namespace internal

// --- payloads ------------------------------------------------------------------------------------------------------------

template <typename T>
Payload Encode(const T& value) {
  if constexpr (std::is_same_v<T, Payload>) {
    return value;
  } else if constexpr (internal::ProtobufMessage<T>) {
    return internal::EncodeMessage(value);
  } else {
    Payload payload;
    SetJson(JsonCodec<T>::To(value), &payload);
    return payload;
  }
}
template <typename T>
Result<T> Decode(const Payload& payload) {
  if constexpr (std::is_same_v<T, Payload>) {
    return payload;
  } else if constexpr (internal::ProtobufMessage<T>) {
    T message;
    LOCKSTEP_TRY(internal::DecodeMessage(payload, &message));
    return message;
  } else {
    LOCKSTEP_ASSIGN(const Json json, ReadJson(payload));
    return JsonCodec<T>::From(json, {});
  }
}

// Argument lists: one payload an argument, as every SDK sends them.
template <typename... A>
Payloads EncodeAll(const A&... arguments) {
  Payloads payloads;
  ((*payloads.add_payloads() = Encode<A>(arguments)), ...);
  return payloads;
}
// Missing trailing arguments are fine where the parameter is optional; surplus ones are ignored.
template <typename... A>
Result<std::tuple<A...>> DecodeAll(const Payloads& payloads) {
  std::tuple<A...> arguments;
  Status status;
  int index = 0;
  const auto read = [&](auto& argument) {
    using T = std::remove_cvref_t<decltype(argument)>;
    const int at = index++;
    if (!status) return;
    if (at >= payloads.payloads_size()) {
      if (!internal::IsOptional<T>::value) {
        status = std::unexpected(internal::Unreadable({}, "argument " + std::to_string(at + 1), "only " + std::to_string(payloads.payloads_size())));
      }
      return;
    }
    auto value = Decode<T>(payloads.payloads(at));
    if (value) {
      argument = std::move(*value);
    } else {
      status = std::unexpected(Error("PAYLOAD_UNREADABLE", "argument " + std::to_string(at + 1) + ": " + value.error().message));
    }
  };
  std::apply([&](auto&... argument) { (read(argument), ...); }, arguments);
  if (!status) return std::unexpected(status.error());
  return arguments;
}
// A result; nothing at all counts as null.
template <typename T>
Result<T> DecodeResult(const Payloads& payloads) {
  if constexpr (std::is_same_v<T, Unit>) return Unit{};
  if (payloads.payloads_size() == 0) {
    Payload null;
    SetJson(Json(), &null);
    return Decode<T>(null);
  }
  return Decode<T>(payloads.payloads(0));
}

}  // namespace lockstep::workflow

// --- structs -------------------------------------------------------------------------------------------------------------

#define LOCKSTEP_JSON_EXPAND(x) x
#define LOCKSTEP_JSON_1(m, a) m(a)
#define LOCKSTEP_JSON_2(m, a, ...) m(a) LOCKSTEP_JSON_1(m, __VA_ARGS__)
#define LOCKSTEP_JSON_3(m, a, ...) m(a) LOCKSTEP_JSON_2(m, __VA_ARGS__)
#define LOCKSTEP_JSON_4(m, a, ...) m(a) LOCKSTEP_JSON_3(m, __VA_ARGS__)
#define LOCKSTEP_JSON_5(m, a, ...) m(a) LOCKSTEP_JSON_4(m, __VA_ARGS__)
#define LOCKSTEP_JSON_6(m, a, ...) m(a) LOCKSTEP_JSON_5(m, __VA_ARGS__)
#define LOCKSTEP_JSON_7(m, a, ...) m(a) LOCKSTEP_JSON_6(m, __VA_ARGS__)
#define LOCKSTEP_JSON_8(m, a, ...) m(a) LOCKSTEP_JSON_7(m, __VA_ARGS__)
#define LOCKSTEP_JSON_9(m, a, ...) m(a) LOCKSTEP_JSON_8(m, __VA_ARGS__)
#define LOCKSTEP_JSON_10(m, a, ...) m(a) LOCKSTEP_JSON_9(m, __VA_ARGS__)
#define LOCKSTEP_JSON_11(m, a, ...) m(a) LOCKSTEP_JSON_10(m, __VA_ARGS__)
#define LOCKSTEP_JSON_12(m, a, ...) m(a) LOCKSTEP_JSON_11(m, __VA_ARGS__)
#define LOCKSTEP_JSON_PICK(_1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, _12, NAME, ...) NAME
#define LOCKSTEP_JSON_EACH(m, ...)                                                                                        \
  LOCKSTEP_JSON_EXPAND(LOCKSTEP_JSON_PICK(__VA_ARGS__, LOCKSTEP_JSON_12, LOCKSTEP_JSON_11, LOCKSTEP_JSON_10, LOCKSTEP_JSON_9, \
                                          LOCKSTEP_JSON_8, LOCKSTEP_JSON_7, LOCKSTEP_JSON_6, LOCKSTEP_JSON_5, LOCKSTEP_JSON_4, \
                                          LOCKSTEP_JSON_3, LOCKSTEP_JSON_2, LOCKSTEP_JSON_1)(m, __VA_ARGS__))
#define LOCKSTEP_JSON_WRITE(member) ::lockstep::workflow::internal::WriteMember(value.member, #member, &object);
#define LOCKSTEP_JSON_READ(member) \
  LOCKSTEP_TRY(::lockstep::workflow::internal::ReadMember(json, #member, pointer, &value.member));

// The members of a struct that travel, under their own names; up to twelve. At global scope, with the struct's full name.
#define LOCKSTEP_JSON(Type, ...)                                                                               \
  template <>                                                                                                  \
  struct lockstep::workflow::JsonCodec<Type> {                                                                 \
    static ::lockstep::Json To(const Type& value) {                                                            \
      ::lockstep::Json object = ::lockstep::Json::MakeObject();                                                \
      LOCKSTEP_JSON_EACH(LOCKSTEP_JSON_WRITE, __VA_ARGS__)                                                     \
      return object;                                                                                           \
    }                                                                                                          \
    static ::lockstep::Result<Type> From(const ::lockstep::Json& json, const std::string& pointer) {           \
      if (!json.is_object()) {                                                                                 \
        return std::unexpected(::lockstep::workflow::internal::Unreadable(pointer, "object", json.KindName())); \
      }                                                                                                        \
      Type value;                                                                                              \
      LOCKSTEP_JSON_EACH(LOCKSTEP_JSON_READ, __VA_ARGS__)                                                      \
      return value;                                                                                            \
    }                                                                                                          \
  };
