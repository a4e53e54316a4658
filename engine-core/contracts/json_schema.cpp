// Valijson does the checking. Around it: three own constraints (patterns by RE2, because std::regex recurses once per
// character; unique items in n log n; a budget of visited schemas), and messages that say what was expected and found,
// for which the violated schema is looked up again along the path of the value.
#include "engine-core/contracts/json_schema.h"

#define VALIJSON_USE_EXCEPTIONS 1
#include <re2/re2.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <stdexcept>
#include <valijson/constraint_builder.hpp>
#include <valijson/constraints/concrete_constraints.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

#include "engine-core/base/bytes.h"
#include "engine-core/base/check.h"
#include "engine-core/contracts/embedded.h"
#include "engine-core/contracts/schema_subset.h"
#include "engine-core/contracts/valijson_adapter.h"

namespace lockstep::contracts {
namespace {

using valijson::adapters::Adapter;

// Visited schemas per check; ordinary plans of the largest size stay below a tenth of it.
constexpr int64_t kBudget = 20'000'000;
thread_local int64_t budget_left = 0;

struct BudgetSpent : std::runtime_error {
  BudgetSpent() : std::runtime_error("budget") {}
};

template <typename Self>
class OwnConstraint : public valijson::constraints::PolyConstraint {
 private:
  valijson::constraints::Constraint* cloneInto(void* memory) const override {
    return new (memory) Self(static_cast<const Self&>(*this));
  }
  size_t sizeOf() const override { return sizeof(Self); }
};

class PatternConstraint : public OwnConstraint<PatternConstraint> {
 public:
  explicit PatternConstraint(const std::string& pattern) {
    RE2::Options options;
    options.set_log_errors(false);
    expression_ = std::make_shared<RE2>(pattern, options);
  }
  bool validate(const Adapter& target, const std::vector<std::string>& context,
                valijson::ValidationResults* results) const override {
    if (!target.isString()) return true;
    if (RE2::PartialMatch(target.asString(), *expression_)) return true;
    if (results != nullptr) results->pushError(context, "lockstep:pattern");
    return false;
  }

 private:
  std::shared_ptr<const RE2> expression_;
};

class UniqueConstraint : public OwnConstraint<UniqueConstraint> {
 public:
  bool validate(const Adapter& target, const std::vector<std::string>& context,
                valijson::ValidationResults* results) const override {
    const auto* adapter = dynamic_cast<const JsonAdapter*>(&target);
    if (adapter == nullptr || adapter->json() == nullptr || !adapter->json()->is_array()) return true;
    std::set<std::string> seen;
    const bool unique = std::ranges::all_of(adapter->json()->AsArray(),
                                            [&](const Json& item) { return seen.insert(CanonicalJson(item)).second; });
    if (!unique && results != nullptr) results->pushError(context, "lockstep:uniqueItems");
    return unique;
  }
};

class BudgetConstraint : public OwnConstraint<BudgetConstraint> {
 public:
  bool validate(const Adapter&, const std::vector<std::string>&, valijson::ValidationResults*) const override {
    if (--budget_left < 0) throw BudgetSpent();
    return true;
  }
};

class PatternBuilder : public valijson::ConstraintBuilder {
  valijson::constraints::Constraint* make(const Adapter& value) const override {
    return new PatternConstraint(value.asString());
  }
};
class UniqueBuilder : public valijson::ConstraintBuilder {
  valijson::constraints::Constraint* make(const Adapter&) const override { return new UniqueConstraint(); }
};
class BudgetBuilder : public valijson::ConstraintBuilder {
  valijson::constraints::Constraint* make(const Adapter&) const override { return new BudgetConstraint(); }
};

// How Valijson words its findings -> keyword. An empty keyword marks a line that only repeats a finding further down.
struct Wording {
  std::string_view start;
  std::string_view keyword;
};
constexpr Wording kWordings[] = {
    {"Failed to validate against schema associated with", ""},
    {"Failed to validate item #", ""},
    {"Failed to validate against additional properties schema", ""},
    {"Failed to validate against child schema", ""},
    {"Target value and comparison value are not equal", ""},
    {"lockstep:pattern", "pattern"},
    {"lockstep:uniqueItems", "uniqueItems"},
    {"Value type not permitted", "type"},
    {"Missing required property '", "required"},
    {"Object contains a property that could not be validated", "additionalProperties"},
    {"Failed to match against any enum values", "enum"},
    {"Failed to match expected value set by 'const'", "const"},
    {"Expected number less than or equal to", "maximum"},
    {"Expected number less than", "exclusiveMaximum"},
    {"Expected number greater than or equal to", "minimum"},
    {"Expected number greater than", "exclusiveMinimum"},
    {"Array should contain no more than", "maxItems"},
    {"Array should contain no fewer than", "minItems"},
    {"String should be no more than", "maxLength"},
    {"String should be no fewer than", "minLength"},
    {"Object should have no more than", "maxProperties"},
    {"Object should have no fewer than", "minProperties"},
    {"Value should be a multiple of", "multipleOf"},
    {"Value could not be converted", "multipleOf"},
    {"Failed to validate against any schemas allowed by anyOf", "anyOf"},
    {"Failed to validate against any child schemas", "oneOf"},
    {"Failed to validate against exactly one child schema", "oneOf"},
    {"Failed to validate against a conditional schema", "if"},
    {"Failed to any values against subschema in 'contains'", "contains"},
    {"Target should not validate against schema specified in 'not'", "not"},
    {"Array contains more items than allowed", "additionalItems"},
    {"Cannot validate item #", "additionalItems"},
    {"Missing dependency '", "dependencies"},
    {"Failed to validate against dependent schema", "dependencies"},
};

std::string Shorten(const Json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  std::string text = CanonicalJson(value);
  constexpr size_t kLongest = 80;
  if (text.size() > kLongest) text = std::string(TruncateUtf8(text, kLongest)) + "...";
  return text;
}

// The schema of the value at `tokens`, following properties, items and references; nullptr where a combinator hides it.
const Json* SchemaFor(const Json& root, const std::vector<std::string>& tokens) {
  const auto resolve = [&root](const Json* schema) {
    for (size_t hops = 0; schema != nullptr && hops <= kMaxInPlaceDepth; ++hops) {
      const Json* reference = schema->Find("$ref");
      if (reference == nullptr) break;
      schema = root.At(std::string_view(reference->AsString()).substr(1));
    }
    return schema;
  };
  const Json* schema = resolve(&root);
  for (const std::string& token : tokens) {
    if (schema == nullptr) return nullptr;
    const Json* properties = schema->Find("properties");
    const Json* next = properties == nullptr ? nullptr : properties->Find(token);
    if (next == nullptr) next = schema->Find("items");
    if (next == nullptr) next = schema->Find("additionalProperties");
    schema = resolve(next);
  }
  return schema;
}

std::string NumberText(const Json& number) { return CanonicalJson(number); }

// "an integer from 1 to 20", "text of 1 to 64 characters": what the bounds of a schema ask for.
std::string Bounds(const Json& schema, std::string_view low_key, std::string_view high_key, const std::string& what) {
  const Json* low = schema.Find(low_key);
  const Json* high = schema.Find(high_key);
  if (low != nullptr && high != nullptr) return what + " from " + NumberText(*low) + " to " + NumberText(*high);
  if (low != nullptr) return what + " of at least " + NumberText(*low);
  if (high != nullptr) return what + " of at most " + NumberText(*high);
  return what;
}

std::string TypeText(const Json& schema) {
  const Json* type = schema.Find("type");
  if (type == nullptr) return "another type";
  if (type->is_string()) return type->AsString();
  std::string out;
  for (const Json& one : type->AsArray()) out += (out.empty() ? "" : " or ") + one.AsString();
  return out;
}

std::string Expectation(const Json& schema, const std::string& keyword, const std::string& member) {
  if (keyword == "type") return TypeText(schema);
  if (keyword == "required") return "the member \"" + member + "\"";
  if (keyword == "additionalProperties") return "no member \"" + member + "\"";
  if (keyword == "pattern") return "text that matches " + schema.GetString(kPatternKey);
  if (keyword == "uniqueItems") return "no value twice";
  if (keyword == "minimum" || keyword == "maximum") return Bounds(schema, "minimum", "maximum", "a number");
  if (keyword == "minLength" || keyword == "maxLength")
    return Bounds(schema, "minLength", "maxLength", "a text length");
  if (keyword == "minItems" || keyword == "maxItems") return Bounds(schema, "minItems", "maxItems", "an item count");
  if (keyword == "minProperties" || keyword == "maxProperties") {
    return Bounds(schema, "minProperties", "maxProperties", "a member count");
  }
  if (const Json* value = schema.Find(keyword); value != nullptr) {
    if (keyword == "const") return CanonicalJson(*value);
    if (keyword == "multipleOf") return "a multiple of " + NumberText(*value);
    if (keyword == "exclusiveMinimum") return "a number above " + NumberText(*value);
    if (keyword == "exclusiveMaximum") return "a number below " + NumberText(*value);
    if (keyword == "enum" && value->is_array()) {
      std::string list;
      for (const Json& one : value->AsArray()) list += (list.empty() ? "" : ", ") + Shorten(one);
      return "one of " + list;
    }
  }
  return "a value that the schema's \"" + keyword + "\" allows";
}

std::string Finding(const std::string& keyword, const Json* value) {
  if (keyword == "required" || value == nullptr) return "nothing";
  if (keyword == "type") return std::string(value->KindName());
  if (keyword == "additionalProperties") return "one";
  if (keyword.ends_with("Items") && value->is_array()) return std::to_string(value->AsArray().size()) + " items";
  if (keyword.ends_with("Length") && value->is_string()) return std::to_string(value->AsString().size()) + " bytes";
  if (keyword.ends_with("Properties") && value->is_object())
    return std::to_string(value->AsObject().size()) + " members";
  return Shorten(*value);
}

std::string PointerOf(const std::vector<std::string>& tokens) {
  std::string pointer;
  for (const std::string& token : tokens) pointer += "/" + JsonPointerToken(token);
  return pointer;
}

// Text between the first and the last quote of a description.
std::string Quoted(const std::string& description, size_t from) {
  const size_t first = description.find('\'', from);
  const size_t last = description.rfind('\'');
  return first == std::string::npos || last <= first ? "" : description.substr(first + 1, last - first - 1);
}

}  // namespace

struct JsonSchema::State {
  Json prepared;
  valijson::Schema compiled;

  void Report(std::vector<std::string> tokens, const std::string& keyword, const std::string& member,
              const std::string& fallback, const Json& instance, std::vector<Violation>* out) const {
    const Json* value = instance.At(PointerOf(tokens));
    const Json* schema = SchemaFor(prepared, tokens);
    if (!member.empty()) {
      tokens.push_back(member);
      if (keyword == "additionalProperties") value = instance.At(PointerOf(tokens));
    }
    std::string message = fallback;
    if (schema != nullptr && schema->is_object() && !keyword.empty()) {
      message = "expected " + Expectation(*schema, keyword, member) + ", found " + Finding(keyword, value);
    }
    out->push_back({PointerOf(tokens), keyword, std::move(message)});
  }

  // Valijson names the first surplus member only; people want all of them.
  std::vector<std::string> SurplusMembers(const std::vector<std::string>& tokens, const Json& instance) const {
    std::vector<std::string> names;
    const Json* value = instance.At(PointerOf(tokens));
    const Json* schema = SchemaFor(prepared, tokens);
    const Json* properties = schema == nullptr ? nullptr : schema->Find("properties");
    if (value == nullptr || !value->is_object()) return names;
    if (properties == nullptr && (schema == nullptr || schema->Find("additionalProperties") == nullptr)) return names;
    for (const auto& [name, unused] : value->AsObject()) {
      if (properties == nullptr || properties->Find(name) == nullptr) names.push_back(name);
    }
    return names;
  }

  Violation Unexplained(const valijson::ValidationResults& results, const Json& instance) const {
    std::vector<std::string> tokens;
    if (results.begin() != results.end()) {
      // The first line is the innermost; its context is the parent of the value it is about.
      tokens = Tokens(*results.begin());
      if (results.begin()->description.find("property name '") != std::string::npos)
        tokens.push_back(Quoted(results.begin()->description, 0));
    }
    const Json* value = instance.At(PointerOf(tokens));
    return {PointerOf(tokens), "schema",
            "expected a value that the schema allows, found " + (value == nullptr ? "nothing" : Shorten(*value))};
  }

  static std::vector<std::string> Tokens(const valijson::ValidationResults::Error& error) {
    std::vector<std::string> tokens;
    for (size_t i = 1; i < error.context.size(); ++i) {
      tokens.push_back(error.context[i].substr(1, error.context[i].size() - 2));
    }
    return tokens;
  }

  void Translate(const valijson::ValidationResults::Error& error, const Json& instance,
                 std::vector<Violation>* out) const {
    std::vector<std::string> tokens = Tokens(error);
    const std::string& text = error.description;
    const auto* known = std::find_if(std::begin(kWordings), std::end(kWordings),
                                     [&](const Wording& w) { return text.starts_with(w.start); });
    const std::string keyword(known == std::end(kWordings) ? "schema" : known->keyword);
    if (keyword.empty()) return;
    if (keyword != "additionalProperties") {
      Report(std::move(tokens), keyword, keyword == "required" ? Quoted(text, 0) : "", text, instance, out);
      return;
    }
    std::vector<std::string> names = SurplusMembers(tokens, instance);
    if (names.empty()) names.push_back(Quoted(text, text.rfind(": '")));
    for (const std::string& name : names) Report(tokens, keyword, name, text, instance, out);
  }
};

JsonSchema::JsonSchema(std::unique_ptr<State> state) : state_(std::move(state)) {}
JsonSchema::JsonSchema(JsonSchema&&) noexcept = default;
JsonSchema& JsonSchema::operator=(JsonSchema&&) noexcept = default;
JsonSchema::~JsonSchema() = default;

Result<JsonSchema> JsonSchema::Compile(const Json& schema) {
  auto state = std::make_unique<State>();
  LOCKSTEP_ASSIGN(state->prepared, PrepareSchema(schema));
  try {
    valijson::SchemaParser parser;
    parser.addConstraintBuilder(std::string(kPatternKey), new PatternBuilder());
    parser.addConstraintBuilder(std::string(kUniqueKey), new UniqueBuilder());
    parser.addConstraintBuilder(std::string(kBudgetKey), new BudgetBuilder());
    const JsonAdapter adapter(state->prepared);
    parser.populateSchema(adapter, state->compiled);
  } catch (const std::exception& error) {
    return Fail("SCHEMA_INVALID", std::string("schema: ") + error.what());
  }
  return JsonSchema(std::move(state));
}

const JsonSchema& JsonSchema::Embedded(std::string_view file_name) {
  static std::mutex mutex;
  static std::map<std::string, JsonSchema, std::less<>> compiled;
  const std::lock_guard lock(mutex);
  if (const auto known = compiled.find(file_name); known != compiled.end()) return known->second;
  const std::string_view text = EmbeddedText(file_name);
  LOCKSTEP_CHECK(!text.empty(), std::string(file_name));
  auto schema = ParseJson(text);
  LOCKSTEP_CHECK(schema.has_value(), std::string(file_name) + ": " + schema.error().message);
  auto result = Compile(*schema);
  LOCKSTEP_CHECK(result.has_value(), std::string(file_name) + ": " + result.error().message);
  return compiled.emplace(std::string(file_name), std::move(*result)).first->second;
}

std::vector<Violation> JsonSchema::Check(const Json& instance) const {
  std::vector<Violation> out;
  valijson::ValidationResults results;
  budget_left = kBudget;
  try {
    valijson::Validator validator;
    const JsonAdapter adapter(instance);
    if (validator.validate(state_->compiled, adapter, &results)) return out;
  } catch (const BudgetSpent&) {
    return {{"", "budget", "expected a value that can be judged in bounded time, found one that cannot"}};
  } catch (const std::exception& error) {
    return {{"", "schema", error.what()}};
  }
  for (const auto& error : results) {
    if (out.size() >= kMaxViolations) break;
    state_->Translate(error, instance, &out);
  }
  // A refusal always carries a reason and a place, also where Valijson gave only wrappers (`propertyNames`) or nothing
  // (`false`).
  if (out.empty()) out.push_back(state_->Unexplained(results, instance));
  std::sort(out.begin(), out.end(), [](const Violation& a, const Violation& b) {
    return std::tie(a.pointer, a.keyword, a.message) < std::tie(b.pointer, b.keyword, b.message);
  });
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

}  // namespace lockstep::contracts
