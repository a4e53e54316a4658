// Reads model files and answers look-ups. Exact names sit in a hash table that is only ever probed, never walked; patterns sit
// in one list, longest first, so that the most specific statement about a function decides.
#include "analyzer/models/model_set.h"

#include <yaml-cpp/yaml.h>

#include <mutex>

#include "analyzer/registry/embedded.h"
#include "engine-core/base/check.h"
#include "engine-core/base/sha256.h"

namespace lockstep::analyzer {

bool MatchesPattern(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0, star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p, ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

namespace {

// The generation of entries that are never passed over.
constexpr uint32_t kEverywhere = UINT32_MAX;

// One table of names and patterns with what they stand for.
template <class T>
class NameTable {
 public:
  void Add(const std::string& name, const T& value, uint32_t generation) {
    if (name.find('*') == std::string::npos) {
      auto& entry = exact_[name];
      if (entry.generation != generation) entry = {generation, {}};
      entry.values.push_back(value);
      return;
    }
    auto it = std::find_if(patterns_.begin(), patterns_.end(), [&](const auto& p) { return p.text == name; });
    if (it == patterns_.end()) {
      const auto longer = [&](const auto& p) { return p.text.size() < name.size(); };
      it = patterns_.insert(std::find_if(patterns_.begin(), patterns_.end(), longer), Pattern{name, {generation, {}}});
    } else if (it->entry.generation != generation) {
      it->entry = {generation, {}};
    }
    it->entry.values.push_back(value);
  }
  // Entries of generations up to `own` are passed over where they do not name a namespace.
  const std::vector<T>* Find(const std::string& name, uint32_t own = 0) const {
    const auto it = exact_.find(name);
    if (it == exact_.end()) return nullptr;
    if (it->second.generation <= own && name.find("::") == std::string::npos) return nullptr;
    return &it->second.values;
  }
  // The longest pattern that matches, with its length.
  const std::vector<T>* FindPattern(const std::string& name, size_t* length, uint32_t own = 0) const {
    for (const auto& pattern : patterns_) {
      if (pattern.entry.generation <= own && (pattern.text.front() == '*' || pattern.text.find("::") == std::string::npos)) continue;
      if (MatchesPattern(pattern.text, name)) {
        *length = pattern.text.size();
        return &pattern.entry.values;
      }
    }
    return nullptr;
  }
  bool Any(const std::string& name) const {
    size_t length = 0;
    return Find(name) != nullptr || FindPattern(name, &length) != nullptr;
  }

 private:
  struct Entry {
    uint32_t generation = 0;
    std::vector<T> values;
  };
  struct Pattern {
    std::string text;
    Entry entry;
  };
  std::unordered_map<std::string, Entry> exact_;
  std::vector<Pattern> patterns_;
};

constexpr std::pair<std::string_view, Trait> kTraits[] = {
    {"order_free", Trait::kOrderFree}, {"sorts", Trait::kSorts},   {"suspends", Trait::kSuspends},
    {"rollover", Trait::kRollover},    {"hashes", Trait::kHashes}, {"compares", Trait::kCompares},
    {"name_fields", Trait::kNameField}, {"spawns", Trait::kSpawns}, {"ports", Trait::kPort}};
constexpr std::pair<std::string_view, Trait> kTypes[] = {{"unordered", Trait::kUnordered},
                                                         {"ordered", Trait::kOrdered},
                                                         {"task", Trait::kTask},
                                                         {"awaitable", Trait::kAwaitable}};
constexpr std::pair<std::string_view, Trait> kCallables[] = {{"query", Trait::kQuery},
                                                             {"signal", Trait::kSignal},
                                                             {"update", Trait::kUpdate},
                                                             {"predicate", Trait::kPredicate},
                                                             {"side_effect", Trait::kSideEffect}};
constexpr std::pair<std::string_view, ModelKind> kPlainKinds[] = {
    {"safe", ModelKind::kSafe}, {"cut", ModelKind::kCut}, {"inert", ModelKind::kInert}};
constexpr std::pair<std::string_view, uint32_t> kSinks[] = {{"branch", kSinkBranch},   {"command", kSinkCommand},
                                                            {"payload", kSinkPayload}, {"persist", kSinkPersist},
                                                            {"hash", kSinkHash},       {"compare", kSinkCompare}};

template <class Table>
auto Lookup(const Table& table, std::string_view name) -> std::optional<decltype(table[0].second)> {
  for (const auto& [key, value] : table) {
    if (key == name) return value;
  }
  return std::nullopt;
}

}  // namespace

struct ModelSet::State {
  NameTable<Model> functions;
  NameTable<Model> variables;
  std::map<Trait, NameTable<bool>> traits;
  std::string digest;
  uint32_t generation = 0;
  uint32_t built_in = 0;  // generations up to here came with the tool

  Status Hazard(const YAML::Node& node, const std::string& origin);
  Status Command(const YAML::Node& node);
};

ModelSet::ModelSet() : state_(std::make_unique<State>()) {}
ModelSet::~ModelSet() = default;
ModelSet::ModelSet(ModelSet&&) noexcept = default;
ModelSet& ModelSet::operator=(ModelSet&&) noexcept = default;

ModelSet ModelSet::Clone() const {
  ModelSet copy;
  *copy.state_ = *state_;
  return copy;
}

const ModelSet& ModelSet::BuiltIn() {
  static const ModelSet models = [] {
    ModelSet set;
    for (const auto& [name, text] : EmbeddedModels()) {
      auto status = set.AddYaml(text, std::string(name));
      LOCKSTEP_CHECK(status.has_value(), status.error().ToString());
    }
    set.state_->built_in = set.state_->generation;
    return set;
  }();
  return models;
}

namespace {

Status Invalid(const std::string& origin, const YAML::Mark& mark, const std::string& message) {
  return Fail("MODEL_INVALID", origin + ":" + std::to_string(mark.line + 1) + ": " + message);
}

// The names an entry is about; a type stands for its constructors and all its members.
std::vector<std::string> NamesOf(const YAML::Node& node) {
  std::vector<std::string> names;
  for (const auto& name : node["names"]) names.push_back(name.as<std::string>());
  for (const auto& type : node["types"]) {
    const auto name = type.as<std::string>();
    names.push_back(name.ends_with("*") ? name : name + "::*");
  }
  return names;
}

HazardMode ModeOf(const std::string& carry) {
  if (carry == "value" || carry == "out") return HazardMode::kValue;
  return carry == "taint" ? HazardMode::kTaint : HazardMode::kEffect;
}

}  // namespace

Status ModelSet::State::Hazard(const YAML::Node& node, const std::string& origin) {
  Model model;
  model.kind = ModelKind::kHazard;
  if (!node["rule"]) return Invalid(origin, node.Mark(), "expected a `rule`, found none");
  model.rule = node["rule"].as<std::string>();
  const auto carry = node["carry"].as<std::string>("effect");
  if (carry != "effect" && carry != "value" && carry != "out" && carry != "taint") {
    return Invalid(origin, node.Mark(), "expected carry effect, value, out or taint, found " + carry);
  }
  model.mode = ModeOf(carry);
  model.out = carry == "out";
  model.if_float = node["if_float"].as<bool>(false);
  model.through_library = node["through_library"].as<bool>(false);
  model.derives = node["if_derives"].as<std::string>("");
  if (const auto literal = node["if_literal"]) {
    model.literal_argument = literal["argument"].as<int>(0);
    model.literal_pattern = literal["matches"].as<std::string>("*");
  }
  if (const auto sinks = node["sinks"]) {
    model.sinks = 0;
    for (const auto& sink : sinks) {
      const auto bit = Lookup(kSinks, sink.as<std::string>());
      if (!bit) return Invalid(origin, sink.Mark(), "unknown sink " + sink.as<std::string>());
      model.sinks |= *bit;
    }
  }
  const auto names = NamesOf(node);
  if (names.empty()) return Invalid(origin, node.Mark(), "expected `names` or `types`, found none");
  // What is said about the members of a class holds for whatever derives from it, in the program as well.
  const bool everywhere = !model.derives.empty() || node["also_own"].as<bool>(false);
  for (const auto& name : names) functions.Add(name, model, everywhere ? kEverywhere : generation);
  return {};
}

Status ModelSet::State::Command(const YAML::Node& node) {
  Model model;
  model.kind = ModelKind::kCommand;
  for (const auto& argument : node["name_args"]) model.name_args |= 1U << argument.as<unsigned>();
  for (const auto& argument : node["decide_args"]) model.decide_args |= 1U << argument.as<unsigned>();
  model.needs_argument = node["needs_argument"].as<int>(-1);
  for (const auto& name : NamesOf(node)) {
    functions.Add(name, model, generation);
    if (node["suspends"].as<bool>(false)) traits[Trait::kSuspends].Add(name, true, generation);
  }
  return {};
}

Status ModelSet::AddYaml(std::string_view text, const std::string& origin) {
  try {
    const YAML::Node root = YAML::Load(std::string(text));
    if (!root.IsMap()) return Invalid(origin, root.Mark(), "expected a map of lists");
    ++state_->generation;
    const uint32_t generation = state_->generation;
    for (const auto& entry : root) {
      const auto section = entry.first.as<std::string>();
      const YAML::Node& list = entry.second;
      if (const auto kind = Lookup(kPlainKinds, section)) {
        for (const auto& name : list) state_->functions.Add(name.as<std::string>(), Model{.kind = *kind}, generation);
      } else if (const auto trait = Lookup(kTraits, section)) {
        for (const auto& name : list) state_->traits[*trait].Add(name.as<std::string>(), true, generation);
      } else if (section == "hazards") {
        for (const auto& node : list) LOCKSTEP_TRY(state_->Hazard(node, origin));
      } else if (section == "variables") {
        for (const auto& node : list) {
          Model model{.kind = ModelKind::kHazard, .rule = node["rule"].as<std::string>(),
                      .mode = ModeOf(node["carry"].as<std::string>("effect"))};
          for (const auto& name : NamesOf(node)) state_->variables.Add(name, model, generation);
        }
      } else if (section == "commands") {
        for (const auto& node : list) LOCKSTEP_TRY(state_->Command(node));
      } else if (section == "callables") {
        for (const auto& node : list) {
          const auto kind = Lookup(kCallables, node["kind"].as<std::string>());
          if (!kind) return Invalid(origin, node.Mark(), "unknown callable kind");
          for (const auto& name : NamesOf(node)) state_->traits[*kind].Add(name, true, generation);
        }
      } else if (section == "types") {
        for (const auto& types : list) {
          const auto type = Lookup(kTypes, types.first.as<std::string>());
          if (!type) return Invalid(origin, types.first.Mark(), "unknown type list " + types.first.as<std::string>());
          for (const auto& name : types.second) state_->traits[*type].Add(name.as<std::string>(), true, generation);
        }
      } else if (section != "library") {
        return Invalid(origin, entry.first.Mark(), "unknown section " + section);
      }
    }
  } catch (const YAML::Exception& error) {
    return Fail("MODEL_INVALID", origin + ":" + std::to_string(error.mark.line + 1) + ": " + error.msg);
  }
  state_->digest = Sha256Hex(state_->digest + std::string(text));
  return {};
}

const std::vector<Model>* ModelSet::Find(const std::vector<std::string>& candidates, bool own) const {
  const uint32_t passed_over = own ? state_->built_in : 0;
  for (const auto& name : candidates) {
    if (const auto* found = state_->functions.Find(name, passed_over)) return found;
  }
  const std::vector<Model>* best = nullptr;
  size_t best_length = 0;
  for (const auto& name : candidates) {
    size_t length = 0;
    const auto* found = state_->functions.FindPattern(name, &length, passed_over);
    if (found != nullptr && length > best_length) {
      best = found;
      best_length = length;
    }
  }
  return best;
}

const Model* ModelSet::FindVariable(const std::string& name, bool own) const {
  const uint32_t passed_over = own ? state_->built_in : 0;
  const auto* found = state_->variables.Find(name, passed_over);
  size_t length = 0;
  if (found == nullptr) found = state_->variables.FindPattern(name, &length, passed_over);
  return found == nullptr ? nullptr : &found->front();
}

bool ModelSet::Has(Trait trait, const std::string& name) const {
  const auto it = state_->traits.find(trait);
  return it != state_->traits.end() && it->second.Any(name);
}

bool ModelSet::Has(Trait trait, const std::vector<std::string>& candidates) const {
  const auto it = state_->traits.find(trait);
  if (it == state_->traits.end()) return false;
  return std::any_of(candidates.begin(), candidates.end(), [&](const auto& name) { return it->second.Any(name); });
}

const std::string& ModelSet::digest() const { return state_->digest; }

}  // namespace lockstep::analyzer
