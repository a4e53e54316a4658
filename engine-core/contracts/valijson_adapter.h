// Lets Valijson look at lockstep::Json without a copy. (Its adapter for RapidJSON documents, as Debian ships it, does
// not compile with current compilers; the bytes have been parsed by RapidJSON before, so nothing is lost.) Private to
// the checker: include it only from json_schema.cpp. The Json must outlive every adapter made from it.
#pragma once

#include <iterator>
#include <string>
#include <utility>
#include <valijson/exceptions.hpp>
#include <valijson/internal/adapter.hpp>
#include <valijson/internal/basic_adapter.hpp>
#include <valijson/internal/frozen_value.hpp>

#include "engine-core/base/json.h"

namespace lockstep::contracts {

class JsonAdapter;
using JsonAdapterMember = std::pair<std::string, JsonAdapter>;

// Iterates over a container of Json and yields adapters.
template <typename Inner, typename Yield>
class JsonAdapterIterator {
 public:
  using iterator_category = std::bidirectional_iterator_tag;
  using value_type = Yield;
  using difference_type = std::ptrdiff_t;
  using pointer = Yield*;
  using reference = Yield&;

  explicit JsonAdapterIterator(Inner inner) : inner_(inner) {}
  Yield operator*() const;
  valijson::adapters::DerefProxy<Yield> operator->() const { return valijson::adapters::DerefProxy<Yield>(**this); }
  bool operator==(const JsonAdapterIterator& other) const { return inner_ == other.inner_; }
  JsonAdapterIterator& operator++() {
    ++inner_;
    return *this;
  }
  JsonAdapterIterator operator++(int) {
    JsonAdapterIterator before = *this;
    ++inner_;
    return before;
  }
  JsonAdapterIterator& operator--() {
    --inner_;
    return *this;
  }
  void advance(std::ptrdiff_t n) { std::advance(inner_, n); }

 private:
  Inner inner_;
};

// What Valijson's weakly typed access falls back to.
inline const Json kEmptyArray = Json::MakeArray();
inline const Json kEmptyObject = Json::MakeObject();

class JsonAdapterArray {
 public:
  JsonAdapterArray() : JsonAdapterArray(kEmptyArray) {}
  using const_iterator = JsonAdapterIterator<Json::Array::const_iterator, JsonAdapter>;
  using iterator = const_iterator;
  explicit JsonAdapterArray(const Json& value) : items_(&value.AsArray()) {}
  const_iterator begin() const { return const_iterator(items_->begin()); }
  const_iterator end() const { return const_iterator(items_->end()); }
  size_t size() const { return items_->size(); }

 private:
  const Json::Array* items_;
};

class JsonAdapterObject {
 public:
  JsonAdapterObject() : JsonAdapterObject(kEmptyObject) {}
  using const_iterator = JsonAdapterIterator<Json::Object::const_iterator, JsonAdapterMember>;
  using iterator = const_iterator;
  explicit JsonAdapterObject(const Json& value) : members_(&value.AsObject()) {}
  const_iterator begin() const { return const_iterator(members_->begin()); }
  const_iterator end() const { return const_iterator(members_->end()); }
  const_iterator find(const std::string& name) const { return const_iterator(members_->find(name)); }
  size_t size() const { return members_->size(); }

 private:
  const Json::Object* members_;
};

class JsonFrozenValue : public valijson::adapters::FrozenValue {
 public:
  explicit JsonFrozenValue(Json value) : value_(std::move(value)) {}
  FrozenValue* clone() const override { return new JsonFrozenValue(value_); }
  bool equalTo(const valijson::adapters::Adapter& other, bool strict) const override;

 private:
  Json value_;
};

class JsonAdapterValue {
 public:
  JsonAdapterValue() : value_(&kEmptyObject) {}
  explicit JsonAdapterValue(const Json& value) : value_(&value) {}

  valijson::adapters::FrozenValue* freeze() const { return new JsonFrozenValue(*value_); }
  opt::optional<JsonAdapterArray> getArrayOptional() const {
    if (!isArray()) return {};
    return opt::make_optional(JsonAdapterArray(*value_));
  }
  opt::optional<JsonAdapterObject> getObjectOptional() const {
    if (!isObject()) return {};
    return opt::make_optional(JsonAdapterObject(*value_));
  }
  bool getArraySize(size_t& result) const {
    if (isArray()) result = value_->AsArray().size();
    return isArray();
  }
  bool getObjectSize(size_t& result) const {
    if (isObject()) result = value_->AsObject().size();
    return isObject();
  }
  bool getBool(bool& result) const {
    if (isBool()) result = value_->AsBool();
    return isBool();
  }
  bool getDouble(double& result) const {
    if (isDouble()) result = value_->AsDouble();
    return isDouble();
  }
  bool getInteger(int64_t& result) const {
    if (isInteger()) result = value_->AsInt();
    return isInteger();
  }
  bool getString(std::string& result) const {
    if (isString()) result = value_->AsString();
    return isString();
  }
  static bool hasStrictTypes() { return true; }
  bool isArray() const { return value_->is_array(); }
  bool isBool() const { return value_->is_bool(); }
  bool isDouble() const { return value_->is_double(); }
  bool isInteger() const { return value_->is_int(); }
  bool isNull() const { return value_->is_null(); }
  bool isNumber() const { return value_->is_number(); }
  bool isObject() const { return value_->is_object(); }
  bool isString() const { return value_->is_string(); }

 private:
  const Json* value_;
};

class JsonAdapter : public valijson::adapters::BasicAdapter<JsonAdapter, JsonAdapterArray, JsonAdapterMember,
                                                            JsonAdapterObject, JsonAdapterValue> {
 public:
  JsonAdapter() = default;
  explicit JsonAdapter(const Json& value) : BasicAdapter(JsonAdapterValue(value)), json_(&value) {}
  // What is being looked at; nullptr for the adapter of nothing.
  const Json* json() const { return json_; }

 private:
  const Json* json_ = nullptr;
};

template <>
inline JsonAdapter JsonAdapterArray::const_iterator::operator*() const {
  return JsonAdapter(*inner_);
}
template <>
inline JsonAdapterMember JsonAdapterObject::const_iterator::operator*() const {
  return {inner_->first, JsonAdapter(inner_->second)};
}
inline bool JsonFrozenValue::equalTo(const valijson::adapters::Adapter& other, bool strict) const {
  return JsonAdapter(value_).equalTo(other, strict);
}

}  // namespace lockstep::contracts

template <>
struct valijson::adapters::AdapterTraits<lockstep::contracts::JsonAdapter> {
  using DocumentType = lockstep::Json;
  static std::string adapterName() { return "JsonAdapter"; }
};
