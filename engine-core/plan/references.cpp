// A hand-written scanner over the closed list of forms, and evaluation that looks nowhere but into its context.
#include "engine-core/plan/references.h"

#include <algorithm>
#include <cmath>
#include <compare>

#include "engine-core/base/bytes.h"
#include "engine-core/base/ids.h"
#include "engine-core/plan/issues.h"

namespace lockstep::plan {
namespace {

constexpr uint32_t kMaxIndex = 1'000'000;

bool IsNameChar(char c) { return IsAsciiAlnum(c) || c == '_' || c == '-'; }

// Scans the inside of one `${...}`.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  bool Done() const { return at_ == text_.size(); }
  bool Take(std::string_view token) {
    if (!text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }
  // `name` of one or more plain characters.
  bool Name(std::string* out) {
    const size_t start = at_;
    while (at_ < text_.size() && IsNameChar(text_[at_])) ++at_;
    *out = text_.substr(start, at_ - start);
    return at_ > start;
  }
  // `['...']`; no escapes, so the text may hold no quote.
  bool Quoted(std::string* out) {
    if (!Take("['")) return false;
    const size_t end = text_.find('\'', at_);
    if (end == std::string_view::npos) return false;
    *out = text_.substr(at_, end - at_);
    at_ = end + 1;
    return Take("]");
  }
  // `[n]` without leading zeros.
  bool Index(uint32_t* out) {
    if (!Take("[")) return false;
    const size_t start = at_;
    while (at_ < text_.size() && IsAsciiDigit(text_[at_])) ++at_;
    const std::string_view digits = text_.substr(start, at_ - start);
    if (digits.empty() || digits.size() > 7 || (digits.size() > 1 && digits[0] == '0')) return false;
    *out = static_cast<uint32_t>(*ParseInt64(digits));
    return *out <= kMaxIndex && Take("]");
  }
  // Any number of `.name`, `['name']`, `[n]` as a JSON Pointer.
  bool Path(std::string* pointer) {
    while (!Done()) {
      std::string token;
      uint32_t index = 0;
      if (Take(".")) {
        if (!Name(&token)) return false;
        *pointer += "/" + token;
      } else if (text_.substr(at_).starts_with("['")) {
        if (!Quoted(&token)) return false;
        *pointer += "/" + JsonPointerToken(token);
      } else if (Index(&index)) {
        *pointer += "/" + std::to_string(index);
      } else {
        return false;
      }
    }
    return true;
  }

 private:
  std::string_view text_;
  size_t at_ = 0;
};

Result<Reference> ParseReference(std::string_view inside) {
  Reference out;
  out.text = "${" + std::string(inside) + "}";
  Scanner scan(inside);
  bool good = false;
  if (inside == "run.id") {
    out.source = ReferenceSource::kRunId;
    good = true;
  } else if (inside == "run.startedAt") {
    out.source = ReferenceSource::kRunStartedAt;
    good = true;
  } else if (scan.Take("params")) {
    out.source = ReferenceSource::kParams;
    good = !scan.Done() && scan.Path(&out.pointer);
  } else if (scan.Take("steps")) {
    out.source = ReferenceSource::kStepResult;
    good = scan.Quoted(&out.name) && IsStepId(out.name) && scan.Take(".result") && scan.Path(&out.pointer);
  } else if (scan.Take("signals")) {
    out.source = ReferenceSource::kSignal;
    good = scan.Quoted(&out.name) && !out.name.empty() && scan.Index(&out.signal_index) && scan.Path(&out.pointer);
  }
  if (good) return out;
  return Fail("REFERENCE_INVALID",
              "expected ${params.PATH}, ${run.id}, ${run.startedAt}, ${steps['ID'].result.PATH} or "
              "${signals['NAME'][i].PATH}, found " +
                  out.text);
}

// Calls `visit(pointer, string)` for every string value; member names are not templates.
template <typename Visit>
void VisitStrings(const Json& value, const std::string& pointer, const Visit& visit) {
  if (value.is_string()) {
    visit(pointer, value.AsString());
  } else if (value.is_array()) {
    for (size_t i = 0; i < value.AsArray().size(); ++i)
      VisitStrings(value.AsArray()[i], pointer + "/" + std::to_string(i), visit);
  } else if (value.is_object()) {
    for (const auto& [key, member] : value.AsObject())
      VisitStrings(member, pointer + "/" + JsonPointerToken(key), visit);
  }
}

Result<Json> LookUp(const Reference& reference, const ReferenceContext& context) {
  const Json* found = nullptr;
  switch (reference.source) {
    case ReferenceSource::kRunId:
      return Json(context.run_id);
    case ReferenceSource::kRunStartedAt:
      return Json(context.run_started_at);
    case ReferenceSource::kParams:
      if (context.params != nullptr) found = context.params->At(reference.pointer);
      break;
    case ReferenceSource::kStepResult:
      if (context.step_result) found = context.step_result(reference.name, reference.pointer);
      break;
    case ReferenceSource::kSignal:
      if (context.signal) found = context.signal(reference.name, reference.signal_index);
      if (found != nullptr) found = found->At(reference.pointer);
      break;
  }
  if (found != nullptr) return *found;
  return Fail(Error("REFERENCE_UNRESOLVED", "expected a value for " + reference.text + ", found nothing")
                  .With("reference", reference.text));
}

Result<Json> ResolveString(std::string_view text, const ReferenceContext& context) {
  LOCKSTEP_ASSIGN(const Template parts, ParseTemplate(text));
  if (parts.IsExactlyOne()) return LookUp(parts.references[0], context);
  std::string out = parts.literals[0];
  for (size_t i = 0; i < parts.references.size(); ++i) {
    LOCKSTEP_ASSIGN(const Json value, LookUp(parts.references[i], context));
    out += value.is_string() ? value.AsString() : CanonicalJson(value);
    out += parts.literals[i + 1];
  }
  return Json(std::move(out));
}

// Exact order of an integer and a double, which a conversion to double would blur above 2^53.
LOCKSTEP_TRUSTED("exact comparisons of IEEE values: nothing is rounded")
std::partial_ordering Compare(int64_t whole, double real) {
  if (real >= 9223372036854775808.0) return std::partial_ordering::less;
  if (real < -9223372036854775808.0) return std::partial_ordering::greater;
  const double floor = std::floor(real);
  if (const auto order = whole <=> static_cast<int64_t>(floor); order != 0) return order;
  return floor < real ? std::partial_ordering::less : std::partial_ordering::equivalent;
}

LOCKSTEP_TRUSTED("exact comparisons of IEEE values: nothing is rounded")
std::partial_ordering CompareNumbers(const Json& a, const Json& b) {
  if (a.is_int() && b.is_int()) return a.AsInt() <=> b.AsInt();
  if (a.is_int()) return Compare(a.AsInt(), b.AsDouble());
  if (b.is_int()) return 0 <=> Compare(b.AsInt(), a.AsDouble());
  return a.AsDouble() <=> b.AsDouble();
}

bool Equal(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) return CompareNumbers(a, b) == 0;
  return a == b;
}

std::partial_ordering Order(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) return CompareNumbers(a, b);
  if (a.is_string() && b.is_string()) return a.AsString().compare(b.AsString()) <=> 0;
  return std::partial_ordering::unordered;
}

void CollectProbes(const Step& step, const std::function<void(uint32_t, std::string)>& add,
                   const std::function<const uint32_t*(const std::string&)>& find) {
  for (const Predicate& predicate : step.run_if) add(predicate.step, predicate.path);
  const auto from = [&](const Json& value) {
    for (FoundReference& found : ListReferences(value, "", nullptr)) {
      if (found.reference.source != ReferenceSource::kStepResult) continue;
      if (const uint32_t* index = find(found.reference.name); index != nullptr)
        add(*index, std::move(found.reference.pointer));
    }
  };
  from(step.params);
  for (const auto& [key, text] : step.target) from(Json(text));
}

}  // namespace

Result<Template> ParseTemplate(std::string_view text) {
  Template out;
  out.literals.emplace_back();
  size_t at = 0;
  while (at < text.size()) {
    const size_t dollar = text.find('$', at);
    if (dollar == std::string_view::npos) break;
    out.literals.back() += text.substr(at, dollar - at);
    const std::string_view rest = text.substr(dollar);
    if (rest.starts_with("$${")) {
      out.literals.back() += "${";
      at = dollar + 3;
    } else if (rest.starts_with("${")) {
      const size_t close = rest.find('}');
      if (close == std::string_view::npos) {
        return Fail("REFERENCE_INVALID",
                    "expected a closing brace, found \"" + std::string(TruncateUtf8(rest, 40)) + "\"");
      }
      LOCKSTEP_ASSIGN(Reference reference, ParseReference(rest.substr(2, close - 2)));
      out.references.push_back(std::move(reference));
      out.literals.emplace_back();
      at = dollar + close + 1;
    } else {
      out.literals.back() += '$';
      at = dollar + 1;
    }
  }
  out.literals.back() += text.substr(at);
  return out;
}

std::vector<FoundReference> ListReferences(const Json& value, std::string_view base_pointer,
                                           std::vector<Issue>* issues) {
  std::vector<FoundReference> out;
  VisitStrings(value, std::string(base_pointer), [&](const std::string& pointer, const std::string& text) {
    if (text.find('$') == std::string::npos) return;
    auto parts = ParseTemplate(text);
    if (!parts) {
      if (issues != nullptr) issues->push_back({PathFromPointer(pointer), "param_invalid", parts.error().message});
      return;
    }
    for (Reference& reference : parts->references) out.push_back({pointer, std::move(reference)});
  });
  return out;
}

Result<Json> Resolve(const Json& value, const ReferenceContext& context) {
  if (value.is_string()) return ResolveString(value.AsString(), context);
  if (value.is_array()) {
    Json out = Json::MakeArray();
    for (const Json& item : value.AsArray()) {
      LOCKSTEP_ASSIGN(Json resolved, Resolve(item, context));
      out.Push(std::move(resolved));
    }
    return out;
  }
  if (value.is_object()) {
    Json out = Json::MakeObject();
    for (const auto& [key, member] : value.AsObject()) {
      LOCKSTEP_ASSIGN(Json resolved, Resolve(member, context));
      out.Set(key, std::move(resolved));
    }
    return out;
  }
  return value;
}

Result<std::string> ResolveText(std::string_view text, const ReferenceContext& context) {
  LOCKSTEP_ASSIGN(const Json value, ResolveString(text, context));
  return value.is_string() ? value.AsString() : CanonicalJson(value);
}

bool EvaluateRunIf(const Predicate& predicate, const Json* probe) {
  if (probe == nullptr) return predicate.op == CompareOp::kNe;
  switch (predicate.op) {
    case CompareOp::kExists:
      return true;
    case CompareOp::kEq:
      return Equal(*probe, predicate.value);
    case CompareOp::kNe:
      return !Equal(*probe, predicate.value);
    case CompareOp::kLt:
      return Order(*probe, predicate.value) < 0;
    case CompareOp::kLe:
      return Order(*probe, predicate.value) <= 0;
    case CompareOp::kGt:
      return Order(*probe, predicate.value) > 0;
    case CompareOp::kGe:
      return Order(*probe, predicate.value) >= 0;
  }
  return false;
}

std::vector<std::vector<std::string>> AllProbePaths(const StepTable& table) {
  std::map<std::string, uint32_t, std::less<>> index;
  for (const Step& step : table.steps) index.emplace(step.step_id, step.index);
  std::vector<std::vector<std::string>> out(table.steps.size());
  const auto add = [&](uint32_t step, std::string pointer) { out[step].push_back(std::move(pointer)); };
  const auto find = [&](const std::string& name) -> const uint32_t* {
    const auto it = index.find(name);
    return it == index.end() ? nullptr : &it->second;
  };
  for (const Step& step : table.steps) CollectProbes(step, add, find);
  for (auto& pointers : out) {
    std::sort(pointers.begin(), pointers.end());
    pointers.erase(std::unique(pointers.begin(), pointers.end()), pointers.end());
  }
  return out;
}

std::vector<std::string> ProbePaths(const StepTable& table, uint32_t step) { return AllProbePaths(table).at(step); }

std::map<std::string, Json> ExtractProbes(const Json& result, const std::vector<std::string>& pointers) {
  std::map<std::string, Json> out;
  for (const std::string& pointer : pointers) {
    const Json* found = result.At(pointer);
    if (found == nullptr || found->is_array() || found->is_object()) continue;
    if (found->is_string() && found->AsString().size() > kMaxProbeBytes) continue;
    if (CanonicalJson(*found).size() <= kMaxProbeBytes) out.emplace(pointer, *found);
  }
  return out;
}

}  // namespace lockstep::plan
