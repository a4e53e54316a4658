// Merging, call resolution and reachability. Value flow is in flow.cpp, the rules that need the whole program in
// program_rules.cpp.
#include "analyzer/callgraph/program_internal.h"

#include <algorithm>
#include <deque>
#include <set>

#include "analyzer/models/model_set.h"

namespace lockstep::analyzer {

std::string_view VerdictName(Verdict verdict) {
  constexpr std::string_view kNames[] = {"command-changing", "payload-only", "inert"};
  return kNames[static_cast<size_t>(verdict)];
}

uint32_t Program::Intern(const std::string& text) {
  const auto [it, added] = ids_.emplace(text, static_cast<uint32_t>(texts_.size()));
  if (added) texts_.push_back(&it->first);
  return it->second;
}

Program::Program(const std::vector<Unit>& units, const LinkOptions& options) : options_(options) {
  Intern("");
  std::vector<const Unit*> sorted;
  for (const auto& unit : units) sorted.push_back(&unit);
  std::stable_sort(sorted.begin(), sorted.end(), [](const Unit* a, const Unit* b) { return a->main_file < b->main_file; });
  for (const Unit* unit : sorted) Merge(*unit);
  ResolveDirect();
  CloseAliases();
  BuildFlow();
  ResolveIndirect();
  Closures();
}

void Program::Merge(const Unit& unit) {
  remaps_.emplace_back();
  auto& remap = remaps_.back();
  remap.reserve(unit.strings.size());
  for (const auto& text : unit.strings) remap.push_back(Intern(text));
  for (const auto& mark : unit.marks) {
    marks_[remap[mark.key]] |= mark.bits;
    if (mark.bits == kMarkTrusted) {
      trusted_.insert({Text(remap[mark.name]), Text(remap[mark.reason]),
                       Location{Text(remap[mark.site.file]), mark.site.line, mark.site.column}});
    }
  }
  for (const auto& info : unit.classes) {
    auto& entry = classes_[remap[info.key]];
    entry.name = remap[info.name];
    for (uint32_t base : info.bases) entry.bases.insert(remap[base]);
  }
  for (const auto& method : unit.methods) {
    auto& entry = methods_[remap[method.key]];
    entry.owner = remap[method.owner];
    for (uint32_t base : method.overrides) overriders_[remap[base]].insert(remap[method.key]);
  }
  for (const auto& function : unit.functions) {
    const uint32_t key = remap[function.key];
    if (by_key_.count(key) != 0) continue;  // The same inline function of another unit.
    by_key_[key] = static_cast<uint32_t>(nodes_.size());
    nodes_.push_back({&unit, &function, static_cast<uint32_t>(remaps_.size() - 1)});
  }
  for (const auto& [field, owner] : unit.fields) field_owner_[remap[field]] = remap[owner];
  for (uint32_t copied : unit.copied) copied_.insert(remap[copied]);
  for (uint32_t text : unit.texts) text_storage_.insert(remap[text]);
  for (uint32_t aliased : unit.aliased) aliased_.insert(remap[aliased]);
  for (uint32_t holder : unit.holders) holders_.insert(remap[holder]);
  for (const auto& region : unit.regions) {
    regions_.insert({remap[region.site.file], region.site.line, region.site.column, region.end_line, remap[region.macro]});
  }
  for (const auto& gate : unit.gates) {
    gates_.push_back({Place(static_cast<uint32_t>(remaps_.size() - 1), gate.site), remap[gate.function], remap[gate.id], gate.min, gate.max,
                      gate.bounds_known});
  }
}

Location Program::Place(uint32_t remap, const Site& site) const {
  return {Text(remaps_[remap][site.file]), site.line, site.column};
}

bool Program::Derives(uint32_t derived, uint32_t base) const {
  if (derived == base) return true;
  const auto it = classes_.find(derived);
  if (it == classes_.end()) return false;
  for (uint32_t parent : it->second.bases) {
    if (Derives(parent, base)) return true;
  }
  return false;
}

bool Program::IsWorkflowClass(uint32_t key) const {
  const auto it = classes_.find(key);
  if (it == classes_.end()) return false;
  for (uint32_t parent : it->second.bases) {
    const auto base = classes_.find(parent);
    if (base != classes_.end() && Text(base->second.name) == "lockstep::workflow::Workflow") return true;
    if (IsWorkflowClass(parent)) return true;
  }
  return false;
}

// Objects of a class are reached through several names when those of a base or of a derived class are, and when the members are
// entered from outside one by one: then no caller is left that hands a value from one member to the other.
void Program::CloseAliases() {
  const auto matches = [&](const std::vector<std::string>& patterns, uint32_t node) {
    return std::any_of(patterns.begin(), patterns.end(), [&](const auto& pattern) { return MatchesPattern(pattern, NameOf(node)); });
  };
  for (uint32_t n = 0; n < nodes_.size(); ++n) {
    const Function& function = *nodes_[n].function;
    if (function.owner == 0) continue;
    const uint32_t owner = Key(n, function.owner);
    const uint32_t roots = MarksOf(KeyOf(n)) & ~static_cast<uint32_t>(kMarkTrusted);
    if (roots != 0 || IsWorkflowClass(owner) || matches(options_.roots, n) || matches(options_.deterministic_roots, n)) aliased_.insert(owner);
  }
  std::vector<uint32_t> work(aliased_.begin(), aliased_.end());
  while (!work.empty()) {
    const auto entry = classes_.find(work.back());
    work.pop_back();
    if (entry == classes_.end()) continue;
    for (uint32_t base : entry->second.bases) {
      if (aliased_.insert(base).second) work.push_back(base);
    }
  }
  for (const auto& [key, entry] : classes_) {
    const bool derived = std::any_of(aliased_.begin(), aliased_.end(), [&, &key = key](uint32_t base) { return base != key && Derives(key, base); });
    if (derived) work.push_back(key);
  }
  aliased_.insert(work.begin(), work.end());
}

// A class whose objects can be followed from name to name: what is written into a member travels with the object.
bool Program::IsValueClass(uint32_t key) const { return copied_.count(key) != 0 || aliased_.count(key) == 0; }

void Program::AddTarget(uint32_t node, uint32_t call, uint32_t target, bool callable, Origin origin) {
  auto& targets = targets_[node][call];
  for (const auto& known : targets) {
    if (known.node == target) return;
  }
  targets.push_back({target, callable, origin});
  changed_ = true;
}

std::vector<uint32_t> Program::Overriders(uint32_t method, uint32_t receiver) const {
  std::set<uint32_t> seen{method};
  std::deque<uint32_t> work{method};
  std::vector<uint32_t> result;
  while (!work.empty()) {
    const uint32_t current = work.front();
    work.pop_front();
    const auto info = methods_.find(current);
    const uint32_t owner = info != methods_.end() ? info->second.owner : 0;
    if (by_key_.count(current) != 0 && (owner == 0 || Derives(owner, receiver) || Derives(receiver, owner))) {
      result.push_back(by_key_.at(current));
    }
    if (const auto it = overriders_.find(current); it != overriders_.end()) {
      for (uint32_t next : it->second) {
        if (seen.insert(next).second) work.push_back(next);
      }
    }
  }
  std::sort(result.begin(), result.end());
  return result;
}

uint32_t Program::MarksOf(uint32_t key) const {
  const auto it = marks_.find(key);
  return it == marks_.end() ? 0 : it->second;
}

CallRole Program::RoleOf(uint32_t node, const Call& call) const {
  if (call.role == CallRole::kPlain && call.callee != 0 && (MarksOf(Key(node, call.callee)) & kMarkActivity) != 0) return CallRole::kCommand;
  return call.role;
}

void Program::ResolveDirect() {
  targets_.resize(nodes_.size());
  for (uint32_t n = 0; n < nodes_.size(); ++n) {
    const Function& function = *nodes_[n].function;
    targets_[n].resize(function.calls.size());
    for (uint32_t c = 0; c < function.calls.size(); ++c) {
      const Call& call = function.calls[c];
      for (uint32_t through : call.through) {
        if (const auto it = by_key_.find(Key(n, through)); it != by_key_.end()) AddTarget(n, c, it->second, true, Origin::kNamed);
      }
      if (call.callee == 0 || RoleOf(n, call) == CallRole::kCommand) continue;
      const uint32_t callee = Key(n, call.callee);
      if (call.kind == CallKind::kVirtual) {
        for (uint32_t target : Overriders(callee, Key(n, call.receiver))) AddTarget(n, c, target, false, Origin::kNamed);
      } else if (const auto it = by_key_.find(callee); it != by_key_.end()) {
        AddTarget(n, c, it->second, false, Origin::kNamed);
      }
    }
  }
}

// More candidates than this say nothing about a call.
constexpr size_t kMaxBySignature = 16;

// Functions whose address is taken, by canonical signature: the fallback for calls that no value reaches.
void Program::ResolveBySignature() {
  std::map<uint32_t, std::vector<uint32_t>> by_signature;
  for (uint32_t key : address_taken_) {
    const auto it = by_key_.find(key);
    if (it == by_key_.end()) continue;
    by_signature[Key(it->second, nodes_[it->second].function->signature)].push_back(it->second);
  }
  for (uint32_t n = 0; n < nodes_.size(); ++n) {
    const Function& function = *nodes_[n].function;
    for (uint32_t c = 0; c < function.calls.size(); ++c) {
      const Call& call = function.calls[c];
      if (call.kind != CallKind::kIndirect || !targets_[n][c].empty() || call.signature == 0) continue;
      const auto it = by_signature.find(Key(n, call.signature));
      if (it == by_signature.end()) continue;
      if (it->second.size() > kMaxBySignature) continue;  // As good as unknown.
      for (uint32_t target : it->second) AddTarget(n, c, target, false, Origin::kSignature);
    }
  }
}

// Whether the callables that a call is given run as part of the caller.
static bool InvokesCallables(CallRole role, CallableRole callable) {
  switch (callable) {
    case CallableRole::kPredicate: return true;
    case CallableRole::kNone: break;
    default: return false;
  }
  return role == CallRole::kLibrary || role == CallRole::kHash || role == CallRole::kOpaque || role == CallRole::kInert;
}

void Program::ResolveIndirect() {
  for (int round = 0; round < 8; ++round) {
    changed_ = false;
    Summaries(true);
    for (uint32_t key : address_taken_) {
      const auto function = by_key_.find(key);
      const std::vector<uint32_t> reached = ReachFromFunction(key);
      for (uint32_t place : reached) {
        const auto& use = uses_[place];
        if (use.node == kNone) continue;
        const Call& call = nodes_[use.node].function->calls[use.call];
        if (use.target) {
          if (function != by_key_.end()) AddTarget(use.node, use.call, function->second, false, Origin::kValue);
          else for (uint32_t target : Overriders(key, OwnerOf(key))) AddTarget(use.node, use.call, target, false, Origin::kNamed);
          continue;
        }
        if (function == by_key_.end()) continue;
        const CallRole role = RoleOf(use.node, call);
        if (call.callable != CallableRole::kNone) {
          handlers_.insert({function->second, call.callable, use.node, use.call});
        }
        // What is handed over inside a container or a structure is stored, not called.
        const bool itself = use.argument < 64 && (call.runs >> use.argument & 1U) != 0;
        if (itself && InvokesCallables(role, call.callable)) AddTarget(use.node, use.call, function->second, true, Origin::kValue);
      }
    }
    if (round == 0) {
      const bool before = changed_;
      ResolveBySignature();
      changed_ = changed_ || before;
    }
    if (!changed_) break;
    ConnectCalls();
  }
}

uint32_t Program::OwnerOf(uint32_t method) const {
  const auto it = methods_.find(method);
  return it == methods_.end() ? 0 : it->second.owner;
}

bool Program::Enters(uint32_t node) const { return (MarksOf(KeyOf(node)) & (kMarkActivity | kMarkTrusted)) == 0; }

void Program::Closures() {
  const size_t count = nodes_.size();
  std::vector<std::vector<uint32_t>> callers(count);
  may_command_.assign(count, false);
  may_suspend_.assign(count, false);
  may_rollover_.assign(count, false);
  for (uint32_t n = 0; n < count; ++n) {
    const Function& function = *nodes_[n].function;
    for (uint32_t c = 0; c < function.calls.size(); ++c) {
      const Call& call = function.calls[c];
      if (RoleOf(n, call) == CallRole::kCommand) may_command_[n] = true;
      if (call.suspends) may_suspend_[n] = true;
      if (call.rollover) may_rollover_[n] = true;
      for (const auto& target : targets_[n][c]) {
        if (Enters(target.node)) callers[target.node].push_back(n);
      }
    }
    for (const auto& effect : function.effects) {
      if (effect.kind == EffectKind::kSuspend) may_suspend_[n] = true;
    }
  }
  for (auto* closure : {&may_command_, &may_suspend_, &may_rollover_}) {
    std::deque<uint32_t> work;
    for (uint32_t n = 0; n < count; ++n) {
      if ((*closure)[n]) work.push_back(n);
    }
    while (!work.empty()) {
      const uint32_t current = work.front();
      work.pop_front();
      for (uint32_t caller : callers[current]) {
        if ((*closure)[caller]) continue;
        (*closure)[caller] = true;
        work.push_back(caller);
      }
    }
  }
}

bool Program::CallMay(const std::vector<bool>& closure, uint32_t node, uint32_t call) const {
  for (const auto& target : targets_[node][call]) {
    if (closure[target.node] && Enters(target.node)) return true;
  }
  return false;
}
bool Program::CallCommands(uint32_t node, uint32_t call) const {
  return RoleOf(node, nodes_[node].function->calls[call]) == CallRole::kCommand || CallMay(may_command_, node, call);
}
bool Program::CallSuspends(uint32_t node, uint32_t call) const {
  return nodes_[node].function->calls[call].suspends || CallMay(may_suspend_, node, call);
}
bool Program::CallRollsOver(uint32_t node, uint32_t call) const {
  return nodes_[node].function->calls[call].rollover || CallMay(may_rollover_, node, call);
}

void Program::FindRoots() {
  // Members of marked classes and of workflow classes, by scope and class.
  std::map<std::pair<std::string, uint32_t>, std::vector<uint32_t>> methods_of;
  std::map<uint32_t, std::string> scopes;
  for (uint32_t n = 0; n < nodes_.size(); ++n) {
    const Function& function = *nodes_[n].function;
    const uint32_t marks = MarksOf(KeyOf(n));
    if ((function.flags & kSystemCode) != 0) continue;
    const auto matches = [&](const std::vector<std::string>& patterns) {
      return std::any_of(patterns.begin(), patterns.end(), [&](const auto& pattern) { return MatchesPattern(pattern, NameOf(n)); });
    };
    if ((marks & (kMarkActivity | kMarkTrusted)) != 0) {
      if ((marks & kMarkActivity) != 0) activities_.push_back(n);
      continue;
    }
    if ((marks & (kMarkWorkflow | kMarkQuery | kMarkSignal | kMarkUpdate)) != 0 || matches(options_.roots)) scopes[n] = "S1";
    else if ((marks & kMarkDeterministic) != 0 || matches(options_.deterministic_roots)) scopes[n] = "S2";
    if ((marks & kMarkQuery) != 0) handlers_.insert({n, CallableRole::kQuery, kNone, kNone});
    if ((marks & kMarkSignal) != 0) handlers_.insert({n, CallableRole::kSignal, kNone, kNone});
    if ((marks & kMarkUpdate) != 0) handlers_.insert({n, CallableRole::kUpdate, kNone, kNone});
    if (function.owner == 0 || (function.flags & kLambda) != 0 || scopes.count(n) != 0) continue;
    const uint32_t owner = Key(n, function.owner);
    if ((marks & kMarkWorkflowClass) != 0 || IsWorkflowClass(owner)) methods_of[{"S1", owner}].push_back(n);
    else if ((marks & kMarkDeterministicClass) != 0) methods_of[{"S2", owner}].push_back(n);
  }
  for (const auto& handler : handlers_) {
    const bool role = handler.role == CallableRole::kQuery || handler.role == CallableRole::kSignal || handler.role == CallableRole::kUpdate;
    if (role && Enters(handler.node)) scopes.emplace(handler.node, "S1");
  }
  // Of such a class every member is checked; only those that no other root or member reaches are roots of their own.
  std::vector<bool> covered(nodes_.size(), false);
  const auto cover = [&](uint32_t root) {
    for (uint32_t node : ReachableFrom(root).order) covered[node] = true;
  };
  for (const auto& [node, scope] : scopes) cover(node);
  for (const auto& [scope_and_owner, methods] : methods_of) {
    const std::string& scope = scope_and_owner.first;
    std::set<uint32_t> called;
    for (uint32_t method : methods) {
      const Reach reach = ReachableFrom(method);
      for (uint32_t node : reach.order) {
        if (node != method) called.insert(node);
      }
    }
    for (uint32_t method : methods) {
      if (called.count(method) == 0 && !covered[method]) {
        scopes[method] = scope;
        cover(method);
      }
    }
    for (uint32_t method : methods) {
      if (covered[method]) continue;
      scopes[method] = scope;
      cover(method);
    }
  }
  roots_.assign(scopes.begin(), scopes.end());
}

LinkResult Link(const std::vector<Unit>& units, const LinkOptions& options) {
  Program program(units, options);
  return program.Evaluate();
}

}  // namespace lockstep::analyzer
