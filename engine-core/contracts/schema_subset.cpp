// The walk over a schema document. Every keyword is looked up in one table that says what its value holds; edges
// between schemas that apply to the same value are collected, and a cycle or an over-long chain among them is refused.
#include "engine-core/contracts/schema_subset.h"

#include <re2/re2.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace lockstep::contracts {
namespace {

enum class Holds {
  kAnnotation,     // dropped
  kAssertion,      // copied
  kSchema,         // one schema for a part of the value
  kSchemaHere,     // one schema for the value itself
  kSchemasHere,    // an array of such
  kSchemaMap,      // an object of schemas for members
  kDefinitions,    // an object of schemas used through $ref only
  kSchemaOrArray,  // `items`
  kDependencies,   // an object of schemas for the value itself, or of arrays of names
  kPattern,
  kUnique,
  kMultiple,
  kReference,
};

struct Keyword {
  std::string_view name;
  Holds holds;
};

constexpr Keyword kKeywords[] = {
    {"$comment", Holds::kAnnotation},
    {"$id", Holds::kAnnotation},
    {"$schema", Holds::kAnnotation},
    {"contentEncoding", Holds::kAnnotation},
    {"contentMediaType", Holds::kAnnotation},
    {"default", Holds::kAnnotation},
    {"description", Holds::kAnnotation},
    {"examples", Holds::kAnnotation},
    {"format", Holds::kAnnotation},
    {"readOnly", Holds::kAnnotation},
    {"title", Holds::kAnnotation},
    {"writeOnly", Holds::kAnnotation},
    {"const", Holds::kAssertion},
    {"enum", Holds::kAssertion},
    {"exclusiveMaximum", Holds::kAssertion},
    {"exclusiveMinimum", Holds::kAssertion},
    {"maxItems", Holds::kAssertion},
    {"maxLength", Holds::kAssertion},
    {"maxProperties", Holds::kAssertion},
    {"maximum", Holds::kAssertion},
    {"minItems", Holds::kAssertion},
    {"minLength", Holds::kAssertion},
    {"minProperties", Holds::kAssertion},
    {"minimum", Holds::kAssertion},
    {"required", Holds::kAssertion},
    {"type", Holds::kAssertion},
    {"additionalItems", Holds::kSchema},
    {"additionalProperties", Holds::kSchema},
    {"contains", Holds::kSchema},
    {"propertyNames", Holds::kSchema},
    {"else", Holds::kSchemaHere},
    {"if", Holds::kSchemaHere},
    {"not", Holds::kSchemaHere},
    {"then", Holds::kSchemaHere},
    {"allOf", Holds::kSchemasHere},
    {"anyOf", Holds::kSchemasHere},
    {"oneOf", Holds::kSchemasHere},
    {"properties", Holds::kSchemaMap},
    {"$defs", Holds::kDefinitions},
    {"definitions", Holds::kDefinitions},
    {"items", Holds::kSchemaOrArray},
    {"dependencies", Holds::kDependencies},
    {"pattern", Holds::kPattern},
    {"uniqueItems", Holds::kUnique},
    {"multipleOf", Holds::kMultiple},
    {"$ref", Holds::kReference},
};

const Keyword* FindKeyword(std::string_view name) {
  const auto* end = std::end(kKeywords);
  const auto* found = std::find_if(std::begin(kKeywords), end, [&](const Keyword& k) { return k.name == name; });
  return found == end ? nullptr : found;
}

class Walk {
 public:
  Result<Json> Run(const Json& schema) {
    LOCKSTEP_ASSIGN(Json prepared, Schema(schema, ""));
    for (const auto& [from, targets] : in_place_) {
      for (const std::string& to : targets) {
        if (!in_place_.contains(to)) return Bad(from, "$ref \"#" + to + "\" points to no schema of this document");
      }
    }
    std::map<std::string, size_t> heights;
    for (const auto& [pointer, unused] : in_place_) LOCKSTEP_TRY(Height(pointer, 0, &heights));
    return prepared;
  }

 private:
  static std::unexpected<Error> Bad(const std::string& pointer, const std::string& what) {
    return Fail("SCHEMA_INVALID", "schema at \"" + pointer + "\": " + what);
  }

  Result<Json> Schema(const Json& schema, const std::string& pointer) {
    auto& edges = in_place_[pointer];
    if (schema.is_bool()) return schema;
    if (!schema.is_object())
      return Bad(pointer, "expected an object or a boolean, found " + std::string(schema.KindName()));
    Json out = Json::MakeObject();
    if (const Json* reference = schema.Find("$ref"); reference != nullptr) {
      // Members beside a $ref do not count in draft-07, but definitions there may still be the target of another one.
      LOCKSTEP_ASSIGN(std::string target, Reference(*reference, pointer));
      edges.push_back(target);
      out.Set("$ref", "#" + target);
      for (const std::string_view key : {"$defs", "definitions"}) {
        if (const Json* held = schema.Find(key); held != nullptr) {
          LOCKSTEP_ASSIGN(Json map, SchemaMap(*held, pointer + "/" + std::string(key), nullptr));
          out.Set(key, std::move(map));
        }
      }
      return out;
    }
    for (const auto& [key, value] : schema.AsObject()) LOCKSTEP_TRY(Member(key, value, pointer, &out));
    out.Set(kBudgetKey, true);
    return out;
  }

  Status Member(const std::string& key, const Json& value, const std::string& pointer, Json* out) {
    if (key.starts_with("x-")) return {};
    const Keyword* keyword = FindKeyword(key);
    if (keyword == nullptr) return Bad(pointer, "keyword \"" + key + "\" is not in the supported subset of draft-07");
    const std::string here = pointer + "/" + key;
    switch (keyword->holds) {
      case Holds::kAnnotation:
        return {};
      case Holds::kAssertion:
        out->Set(key, value);
        return {};
      case Holds::kSchemaHere:
        in_place_[pointer].push_back(here);
        [[fallthrough]];
      case Holds::kSchema: {
        LOCKSTEP_ASSIGN(Json inner, Schema(value, here));
        out->Set(key, std::move(inner));
        return {};
      }
      case Holds::kSchemasHere:
        return Array(key, value, here, &in_place_[pointer], out);
      case Holds::kSchemaMap:
      case Holds::kDefinitions: {
        LOCKSTEP_ASSIGN(Json map, SchemaMap(value, here, nullptr));
        out->Set(key, std::move(map));
        return {};
      }
      case Holds::kSchemaOrArray: {
        if (value.is_array()) return Array(key, value, here, nullptr, out);
        LOCKSTEP_ASSIGN(Json inner, Schema(value, here));
        out->Set(key, std::move(inner));
        return {};
      }
      case Holds::kDependencies: {
        LOCKSTEP_ASSIGN(Json map, SchemaMap(value, here, &in_place_[pointer]));
        out->Set(key, std::move(map));
        return {};
      }
      case Holds::kPattern:
        return Pattern(value, here, out);
      case Holds::kUnique:
        if (!value.is_bool()) return Bad(here, "expected a boolean");
        if (value.AsBool()) out->Set(kUniqueKey, true);
        return {};
      case Holds::kMultiple:
        if (!value.is_number() || value.AsDouble() <= 0) return Bad(here, "expected a number above 0");
        out->Set(key, value);
        return {};
      case Holds::kReference:
        return {};
    }
    return {};
  }

  Status Array(const std::string& key, const Json& value, const std::string& here, std::vector<std::string>* edges,
               Json* out) {
    if (!value.is_array() || value.AsArray().empty()) return Bad(here, "expected an array of schemas");
    Json list = Json::MakeArray();
    for (size_t i = 0; i < value.AsArray().size(); ++i) {
      const std::string child = here + "/" + std::to_string(i);
      if (edges != nullptr) edges->push_back(child);
      LOCKSTEP_ASSIGN(Json inner, Schema(value.AsArray()[i], child));
      list.Push(std::move(inner));
    }
    out->Set(key, std::move(list));
    return {};
  }

  // With `edges` the members apply to the value itself, and arrays of names are allowed (`dependencies`).
  Result<Json> SchemaMap(const Json& value, const std::string& here, std::vector<std::string>* edges) {
    if (!value.is_object()) return Bad(here, "expected an object of schemas");
    Json map = Json::MakeObject();
    for (const auto& [name, member] : value.AsObject()) {
      if (name.find('\0') != std::string::npos) return Bad(here, "expected names without NUL");
      if (edges != nullptr && member.is_array()) {
        map.Set(name, member);
        continue;
      }
      const std::string child = here + "/" + JsonPointerToken(name);
      if (edges != nullptr) edges->push_back(child);
      LOCKSTEP_ASSIGN(Json inner, Schema(member, child));
      map.Set(name, std::move(inner));
    }
    return map;
  }

  Status Pattern(const Json& value, const std::string& here, Json* out) {
    if (!value.is_string()) return Bad(here, "expected a string");
    RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(1 << 20);
    const RE2 expression(value.AsString(), options);
    if (!expression.ok()) return Bad(here, "expected a regular expression (RE2), found: " + expression.error());
    out->Set(kPatternKey, value);
    return {};
  }

  Result<std::string> Reference(const Json& value, const std::string& pointer) {
    if (!value.is_string()) return Bad(pointer, "expected a string in $ref");
    const std::string& text = value.AsString();
    const bool local =
        text == "#" || (text.starts_with("#/") && text.find('%') == std::string::npos && text.back() != '/');
    if (!local) return Bad(pointer, "expected a $ref inside this document (\"#/...\"), found \"" + text + "\"");
    return text.substr(1);
  }

  // Length of the longest chain of schemas that apply to one value; fails on a cycle.
  Result<size_t> Height(const std::string& pointer, size_t depth, std::map<std::string, size_t>* heights) {
    if (const auto known = heights->find(pointer); known != heights->end()) return known->second;
    if (depth > kMaxInPlaceDepth) {
      return Bad(pointer, "expected at most " + std::to_string(kMaxInPlaceDepth) +
                              " schemas in a chain on one value, found a longer one or a cycle of $ref");
    }
    size_t height = 1;
    for (const std::string& child : in_place_[pointer]) {
      LOCKSTEP_ASSIGN(const size_t below, Height(child, depth + 1, heights));
      height = std::max(height, below + 1);
    }
    if (height > kMaxInPlaceDepth) return Bad(pointer, "expected a shorter chain of schemas on one value");
    heights->emplace(pointer, height);
    return height;
  }

  // Pointer of every schema -> schemas applied to the same value.
  std::map<std::string, std::vector<std::string>> in_place_;
};

}  // namespace

Result<Json> PrepareSchema(const Json& schema) { return Walk().Run(schema); }

}  // namespace lockstep::contracts
