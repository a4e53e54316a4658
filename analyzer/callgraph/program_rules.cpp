// Which hazards are findings. Local hazards are weighed by mode and value flow; the rules that look at several functions at once
// (order of commands, handlers, version gates, indirect calls) are here as well.
#include <algorithm>

#include "analyzer/callgraph/program_internal.h"

namespace lockstep::analyzer {

std::string Finding::Message() const {
  std::string text = what + ": " + rule->why + "; use " + rule->replacement;
  return text;
}

namespace {

// Rules whose sites repeat output but never change a command.
bool OutputOnly(const std::string& rule) {
  return rule == "determinism-console-io" || rule == "determinism-unguarded-log" || rule == "determinism-unguarded-metric";
}

}  // namespace

void Program::Report(uint32_t root, const std::string& scope, const Reach& reach, uint32_t node, const std::string& rule_id,
                     const Site& site, const std::string& what, Severity severity, Verdict verdict, const std::vector<Edit>* edits) {
  const Rule* rule = Registry::Get().Find(rule_id);
  if (rule == nullptr || (scope == "S2" && rule->protocol)) return;
  Finding finding;
  finding.rule = rule;
  finding.severity = severity;
  finding.verdict = verdict;
  finding.what = what;
  finding.scope = scope;
  finding.root = NameOf(root);
  finding.chain = Chain(reach, node);
  finding.at = PlaceIn(node, site);
  finding.function = NameOf(node);
  // System headers are silent: the finding moves to the last call that the program itself made.
  if ((nodes_[node].function->flags & kSystemCode) != 0) {
    uint32_t current = node;
    for (;;) {
      const auto [parent, call] = reach.parent.at(current);
      if (parent == kNone) return;
      if (!finding.chain.empty()) finding.chain.pop_back();
      current = parent;
      if ((nodes_[parent].function->flags & kSystemCode) != 0) continue;
      finding.at = PlaceIn(parent, nodes_[parent].function->calls[call].site);
      finding.function = NameOf(parent);
      break;
    }
  }
  if (!reported_.emplace(root, rule_id, finding.at).second) return;
  finding.chain.push_back({finding.function, finding.at});
  if (edits != nullptr) {
    for (const auto& edit : *edits) {
      finding.edits.push_back({Text(Key(node, edit.file)), edit.offset, edit.length, Text(Key(node, edit.text))});
    }
  }
  if (severity == Severity::kError) flagged_[node] = true;
  findings_.push_back(std::move(finding));
}

void Program::Report(uint32_t root, const std::string& scope, const Reach& reach, uint32_t node, const std::string& rule_id,
                     const Site& site, const std::string& what, const std::vector<Edit>* edits) {
  const Rule* rule = Registry::Get().Find(rule_id);
  if (rule == nullptr) return;
  Report(root, scope, reach, node, rule_id, site, what, rule->severity,
         OutputOnly(rule_id) ? Verdict::kPayloadOnly : Verdict::kCommandChanging, edits);
}

void Program::HazardsOf(uint32_t root, const std::string& scope, const Reach& reach, uint32_t node) {
  const Function& f = *nodes_[node].function;
  for (uint32_t h = 0; h < f.hazards.size(); ++h) {
    const Hazard& hazard = f.hazards[h];
    const std::string& id = Text(Key(node, hazard.rule));
    const Rule* rule = Registry::Get().Find(id);
    if (rule == nullptr || (hazard.unless_defined != 0 && by_key_.count(Key(node, hazard.unless_defined)) != 0)) continue;
    Severity severity = hazard.severity != 0 ? static_cast<Severity>(hazard.severity - 1) : rule->severity;
    Verdict verdict = OutputOnly(id) ? Verdict::kPayloadOnly : Verdict::kCommandChanging;
    if (hazard.mode != HazardMode::kEffect) {
      const FlowResult& flow = FlowOf(node, h);
      const uint32_t sinks = flow.sinks & hazard.sinks;
      const uint32_t strong = kSinkBranch | kSinkCommand | kSinkHash | kSinkCompare;
      if ((sinks & strong) == 0 && (sinks & (kSinkPayload | kSinkPersist)) != 0) verdict = Verdict::kPayloadOnly;
      switch (hazard.mode) {
        case HazardMode::kValue:
          if (flow.sinks == 0 && flow.inert && !flow.escapes) continue;
          break;
        case HazardMode::kTaint:
          if (id == "determinism-engine-seed") {
            if (!InputsTainted(node, hazard)) continue;
            break;
          }
          if (id == "determinism-string-built-command") {
            std::set<std::pair<uint32_t, uint32_t>> seen;
            const bool query = (hazard.sinks & kSinkPayload) != 0 && (sinks & kSinkPayload) != 0 && InputsTainted(node, hazard);
            if (!query && !TaintedTextReachesName(node, hazard.inputs, {blocks_[node].hazards + h}, &seen)) continue;
          }
          if ((sinks & ~static_cast<uint32_t>(kSinkActivityResult)) == 0) continue;
          break;
        case HazardMode::kOrder:
          severity = (sinks & ~static_cast<uint32_t>(kSinkActivityResult)) != 0 ? Severity::kError : Severity::kWarning;
          // Order that nothing keeps is provably inert.
          if (severity == Severity::kWarning && !hazard.touched && !flow.escapes) continue;
          break;
        case HazardMode::kEffect: break;
      }
    }
    const size_t before = findings_.size();
    Report(root, scope, reach, node, id, hazard.site, Text(Key(node, hazard.what)), severity, verdict, &hazard.edits);
    if (findings_.size() == before || hazard.mode == HazardMode::kEffect) continue;
    findings_.back().sink = SinkOf(node, h, hazard.sinks & 0xff & ~static_cast<uint32_t>(kSinkActivityResult));
  }
}

// Whether a call leaves a trace in an object that outlives it: the callee's own, or static storage.
bool Program::CallChanges(uint32_t node, uint32_t call) const {
  const auto writes = [&](const Target& target, bool own_object) {
    const Function& f = *nodes_[target.node].function;
    return (f.flags & kConstructor) == 0 && std::any_of(f.effects.begin(), f.effects.end(), [&](const Effect& effect) {
             return effect.kind == EffectKind::kWriteGlobal || (own_object && effect.kind == EffectKind::kWriteField);
           });
  };
  for (const auto& target : targets_[node][call]) {
    if (writes(target, true)) return true;
    for (const auto& inner : targets_[target.node]) {
      if (std::any_of(inner.begin(), inner.end(), [&](const Target& next) { return writes(next, false); })) return true;
    }
  }
  return false;
}

void Program::CallsOf(uint32_t root, const std::string& scope, const Reach& reach, uint32_t node) {
  const Function& f = *nodes_[node].function;
  const bool teardown = (f.flags & kDestructor) != 0;
  const bool no_throw = (f.flags & kNoexcept) != 0 && (f.flags & kCoroutine) == 0;
  for (uint32_t c = 0; c < f.calls.size(); ++c) {
    const Call& call = f.calls[c];
    const CallRole role = RoleOf(node, call);
    if ((teardown || no_throw) && !call.implicit && CallCommands(node, c)) {
      Report(root, scope, reach, node, "determinism-command-in-destructor", call.site,
             Text(Key(node, call.name)) + (teardown ? " from a destructor" : " on a noexcept path"));
    }
    if (call.asserted && (CallCommands(node, c) || CallChanges(node, c))) {
      Report(root, scope, reach, node, "determinism-conditional-command", call.site, Text(Key(node, call.name)) + " in assert");
    }
    for (const auto& target : targets_[node][c]) {
      const Function& callee = *nodes_[target.node].function;
      if ((callee.flags & kReturnsStatic) != 0 && !target.callable && call.kind == CallKind::kDirect && !call.implicit) {
        Report(root, scope, reach, node, "determinism-service-locator", call.site, NameOf(target.node));
      }
    }
    if ((f.flags & kSystemCode) != 0) continue;
    const bool assumed = std::any_of(f.hazards.begin(), f.hazards.end(), [&](const Hazard& hazard) { return call.callee != 0 && hazard.unless_defined == call.callee; });
    const bool unknown = targets_[node][c].empty() && role == CallRole::kPlain && call.callee != 0 && call.kind == CallKind::kDirect && !assumed;
    if ((role == CallRole::kOpaque || unknown) && !call.implicit && (MarksOf(Key(node, call.callee)) & kMarkTrusted) == 0) {
      Report(root, scope, reach, node, "determinism-opaque-callee", call.site, Text(Key(node, call.name)));
    }
  }
}

// Whether the history is cut around a loop: by a loop further out, or, for a task that runs beside the main one, by the root.
bool Program::RolledOverAround(uint32_t root, const Reach& reach, uint32_t node) const {
  for (uint32_t current = node;;) {
    const auto [parent, call] = reach.parent.at(current);
    if (parent == kNone) return false;
    const Function& f = *nodes_[parent].function;
    for (const auto& loop : f.loops) {
      if (std::find(loop.calls.begin(), loop.calls.end(), call) == loop.calls.end()) continue;
      if (std::any_of(loop.calls.begin(), loop.calls.end(), [&](uint32_t c) { return CallRollsOver(parent, c); })) return true;
    }
    const Label result = MakeLabel(LabelKind::kResult, call);
    const bool spawned = std::any_of(f.calls.begin(), f.calls.end(), [&](const Call& other) {
      return other.spawns && std::any_of(other.args.begin(), other.args.end(), [&](const LabelSet& labels) { return labels.Has(result); });
    });
    if (spawned && may_rollover_[root]) return true;
    current = parent;
  }
}

// Whether the condition of a loop takes the next item out of an object of the program: no command decides how often.
bool Program::WorksOff(uint32_t node, const Loop& loop) const {
  const auto takes = [&](uint32_t c) {
    if (CallCommands(node, c) || CallSuspends(node, c)) return false;
    return std::any_of(targets_[node][c].begin(), targets_[node][c].end(), [&](const Target& target) {
      const Function& f = *nodes_[target.node].function;
      return std::any_of(f.effects.begin(), f.effects.end(), [](const Effect& effect) { return effect.kind == EffectKind::kWriteField; });
    });
  };
  const bool asks = std::any_of(loop.drivers.begin(), loop.drivers.end(), [&](uint32_t c) { return CallCommands(node, c) || CallSuspends(node, c); });
  return !asks && std::any_of(loop.drivers.begin(), loop.drivers.end(), takes);
}

void Program::ShapesOf(uint32_t root, const std::string& scope, const Reach& reach, uint32_t node) {
  const Function& f = *nodes_[node].function;
  if ((f.flags & kSystemCode) != 0) return;
  for (const auto& group : f.unsequenced) {
    size_t commanding = 0;
    for (const auto& operand : group.operands) {
      commanding += std::any_of(operand.begin(), operand.end(), [&](uint32_t c) { return CallCommands(node, c); }) ? 1 : 0;
    }
    if (commanding >= 2) Report(root, scope, reach, node, "determinism-unsequenced-commands", group.site, "two commands in one expression");
  }
  for (const auto& block : f.tries) {
    const bool suspends = block.suspends || std::any_of(block.calls.begin(), block.calls.end(), [&](uint32_t c) { return CallSuspends(node, c); });
    if (suspends) Report(root, scope, reach, node, "determinism-swallowed-cancellation", block.site, "handler around a suspension", &block.edits);
  }
  for (const auto& loop : f.loops) {
    if (!loop.unbounded || WorksOff(node, loop)) continue;
    const bool commands = std::any_of(loop.calls.begin(), loop.calls.end(), [&](uint32_t c) { return CallCommands(node, c); });
    const bool rollover = std::any_of(loop.calls.begin(), loop.calls.end(), [&](uint32_t c) { return CallRollsOver(node, c); });
    if (commands && !rollover && !RolledOverAround(root, reach, node)) Report(root, scope, reach, node, "determinism-unbounded-history", loop.site, "loop that issues commands");
  }
}

// Query, signal, predicate and side-effect callables (J5, J6, J8, J9).
void Program::HandlerRules(const Handler& handler) {
  if (!Enters(handler.node)) return;
  const Reach own = ReachableFrom(handler.node);
  const uint32_t owner = nodes_[handler.node].function->owner != 0 ? Key(handler.node, nodes_[handler.node].function->owner) : 0;
  std::map<size_t, Reach> joined_reaches;
  const auto report = [&](uint32_t node, const char* rule, const Site& site, const std::string& what) {
    // Attributed to every root that reaches the registration, or to the handler itself.
    bool reported = false;
    for (size_t r = 0; r < roots_.size(); ++r) {
      const bool here = reaches_[r].parent.count(node) != 0;
      const bool registered = handler.caller != kNone && reaches_[r].parent.count(handler.caller) != 0;
      if (roots_[r].first == handler.node || (registered && here)) {
        Report(roots_[r].first, roots_[r].second, reaches_[r], node, rule, site, what);
        reported = true;
      }
    }
    // A callable that runs outside the workflow is reached only from its registration.
    if (!reported && handler.caller != kNone && live_[handler.caller]) {
      for (size_t r = 0; r < roots_.size(); ++r) {
        if (reaches_[r].parent.count(handler.caller) == 0) continue;
        auto [joined, fresh] = joined_reaches.try_emplace(r);
        if (fresh) {
          joined->second = reaches_[r];
          for (uint32_t step : own.order) {
            if (joined->second.parent.count(step) != 0) continue;
            const auto parent = own.parent.at(step);
            joined->second.parent.emplace(step, parent.first == kNone ? std::make_pair(handler.caller, handler.call) : parent);
          }
        }
        Report(roots_[r].first, roots_[r].second, joined->second, node, rule, site, what);
      }
    }
  };
  for (uint32_t node : own.order) {
    const Function& f = *nodes_[node].function;
    if ((f.flags & kSystemCode) != 0) continue;
    const uint32_t its_owner = f.owner != 0 ? Key(node, f.owner) : 0;
    const bool same_object = node == handler.node || (its_owner != 0 && (Derives(owner, its_owner) || Derives(its_owner, owner))) ||
                             (handler.caller != kNone && nodes_[handler.caller].function->owner != 0 && its_owner != 0 &&
                              Derives(Key(handler.caller, nodes_[handler.caller].function->owner), its_owner));
    const bool constructs = (f.flags & kConstructor) != 0;
    for (const auto& effect : f.effects) {
      const std::string what = Text(Key(node, effect.what));
      const bool writes = (effect.kind == EffectKind::kWriteField && same_object && !constructs) || effect.kind == EffectKind::kWriteGlobal ||
                          (effect.kind == EffectKind::kWriteCapture && node == handler.node);
      switch (handler.role) {
        case CallableRole::kQuery:
          if (writes) report(node, "determinism-query-mutation", effect.site, "write to " + what);
          if (effect.kind == EffectKind::kSuspend) report(node, "determinism-query-mutation", effect.site, "suspension in a query");
          break;
        case CallableRole::kSignal:
          if (effect.kind == EffectKind::kSuspend) report(node, "determinism-handler-await", effect.site, "suspension in a signal handler");
          break;
        case CallableRole::kPredicate:
          if (writes) report(node, "determinism-impure-condition", effect.site, "write to " + what);
          if (effect.kind == EffectKind::kReadGlobal) report(node, "determinism-impure-condition", effect.site, "read of " + what);
          if (effect.kind == EffectKind::kSuspend) report(node, "determinism-impure-condition", effect.site, "suspension");
          break;
        case CallableRole::kSideEffect:
          if (writes) report(node, "determinism-side-effect-capture", effect.site, "write to " + what);
          break;
        default: break;
      }
    }
    for (uint32_t c = 0; c < f.calls.size(); ++c) {
      const Call& call = f.calls[c];
      const bool commands = RoleOf(node, call) == CallRole::kCommand || call.suspends;
      if (!commands) continue;
      const std::string what = Text(Key(node, call.name));
      switch (handler.role) {
        case CallableRole::kQuery: report(node, "determinism-query-mutation", call.site, what + " in a query"); break;
        case CallableRole::kSignal: report(node, "determinism-handler-await", call.site, what + " in a signal handler"); break;
        case CallableRole::kPredicate: report(node, "determinism-impure-condition", call.site, what); break;
        case CallableRole::kSideEffect: report(node, "determinism-side-effect-capture", call.site, what + " inside the callable"); break;
        default: break;
      }
    }
  }
}

void Program::Handlers() {
  for (const auto& handler : handlers_) HandlerRules(handler);
}

// Scope S3: an activity must not hand back what it listed in file-system or hash order.
void Program::ActivityOrder() {
  for (uint32_t activity : activities_) {
    Reach reach = ReachableFrom(activity);
    for (uint32_t node : reach.order) {
      const Function& f = *nodes_[node].function;
      for (uint32_t h = 0; h < f.hazards.size(); ++h) {
        if (!f.hazards[h].result_order) continue;
        const std::string& id = Text(Key(node, f.hazards[h].rule));
        Hazard as_order = f.hazards[h];
        const FlowResult flow = Follow(blocks_[node].hazards + h, true);
        if ((flow.sinks & kSinkActivityResult) == 0) continue;
        Report(activity, "S3", reach, node, id, as_order.site, Text(Key(node, as_order.what)) + " returned unsorted", Severity::kError,
               Verdict::kPayloadOnly, &f.hazards[h].edits);
      }
    }
  }
}

void Program::IndirectCalls() {
  // Functions from which a flagged one can be reached.
  std::vector<bool> flagged(nodes_.size(), false);
  std::vector<std::vector<uint32_t>> callers(nodes_.size());
  std::vector<uint32_t> work;
  for (uint32_t n = 0; n < nodes_.size(); ++n) {
    for (const auto& call : targets_[n]) {
      for (const auto& target : call) {
        if (Enters(target.node)) callers[target.node].push_back(n);
      }
    }
  }
  for (const auto& [node, is_flagged] : flagged_) {
    flagged[node] = true;
    work.push_back(node);
  }
  while (!work.empty()) {
    const uint32_t current = work.back();
    work.pop_back();
    for (uint32_t caller : callers[current]) {
      if (flagged[caller]) continue;
      flagged[caller] = true;
      work.push_back(caller);
    }
  }
  for (size_t r = 0; r < roots_.size(); ++r) {
    for (uint32_t node : reaches_[r].order) {
      const Function& f = *nodes_[node].function;
      if ((f.flags & kSystemCode) != 0) continue;
      for (uint32_t c = 0; c < f.calls.size(); ++c) {
        const Call& call = f.calls[c];
        if (call.kind == CallKind::kDirect || call.implicit) continue;
        if (RoleOf(node, call) == CallRole::kCommand) continue;
        const auto& targets = targets_[node][c];
        if (reaches_[r].injected && call.port) continue;
        const bool bad = std::any_of(targets.begin(), targets.end(), [&](const Target& t) { return flagged[t.node] && Follows(reaches_[r], node, c, t); });
        if (bad) {
          Report(roots_[r].first, roots_[r].second, reaches_[r], node, "determinism-indirect-call", call.site,
                 "possible target of " + Text(Key(node, call.name)), Severity::kError, Verdict::kCommandChanging);
        } else if (targets.empty() && (MarksOf(call.callee != 0 ? Key(node, call.callee) : 0) & (kMarkTrusted | kMarkActivity)) == 0) {
          Report(roots_[r].first, roots_[r].second, reaches_[r], node, "determinism-indirect-call", call.site,
                 "unknown target of " + Text(Key(node, call.name)), Severity::kWarning, Verdict::kCommandChanging);
        }
      }
    }
  }
}

void Program::Regions() {
  for (size_t r = 0; r < roots_.size(); ++r) {
    for (uint32_t node : reaches_[r].order) {
      const Function& f = *nodes_[node].function;
      for (uint32_t c = 0; c < f.calls.size(); ++c) {
        const Call& call = f.calls[c];
        if (call.implicit || !CallCommands(node, c)) continue;
        const uint32_t file = Key(node, call.site.file);
        for (const auto& region : regions_) {
          if (region.file != file || call.site.line < region.line || call.site.line > region.end_line) continue;
          // Only a condition inside the function: a whole function that exists on one platform is found through its callers.
          Site site = call.site;
          site.line = region.line;
          site.column = region.column;
          Report(roots_[r].first, roots_[r].second, reaches_[r], node, "determinism-conditional-command", site,
                 "command under #if on " + Text(region.macro));
        }
      }
    }
  }
}

void Program::Gates() {
  for (size_t r = 0; r < roots_.size(); ++r) {
    const Reach& reach = reaches_[r];
    std::map<uint32_t, const Gate*> first;
    std::vector<const Gate*> gates;
    for (const auto& gate : gates_) {
      const auto node = by_key_.find(gate.function);
      if (node != by_key_.end() && reach.parent.count(node->second) != 0) gates.push_back(&gate);
    }
    std::sort(gates.begin(), gates.end(), [](const Gate* a, const Gate* b) { return a->at < b->at; });
    gates.erase(std::unique(gates.begin(), gates.end(), [](const Gate* a, const Gate* b) { return a->at == b->at; }), gates.end());
    for (const Gate* gate : gates) {
      const uint32_t node = by_key_.at(gate->function);
      if (gate->id == 0) continue;
      Site site;
      for (const auto& call : nodes_[node].function->calls) {
        if (PlaceIn(node, call.site) == gate->at) site = call.site;
      }
      const std::string& id = Text(gate->id);
      const auto [known, fresh] = first.emplace(gate->id, gate);
      if (!fresh && (known->second->function != gate->function || known->second->min != gate->min || known->second->max != gate->max)) {
        Report(roots_[r].first, roots_[r].second, reach, node, "determinism-version-gate", site, "change id " + id + " used again");
      }
      if (!options_.change_registry) continue;
      const auto entry = options_.change_registry->find(id);
      if (entry == options_.change_registry->end()) {
        Report(roots_[r].first, roots_[r].second, reach, node, "determinism-version-gate", site, "change id " + id + " not in the registry");
      } else if (gate->bounds_known && (entry->second.min != gate->min || entry->second.max != gate->max)) {
        Report(roots_[r].first, roots_[r].second, reach, node, "determinism-version-gate", site,
               "change id " + id + " with bounds other than the registry's");
      }
    }
  }
}

Skeleton Program::SkeletonOf(uint32_t root) const {
  Skeleton skeleton;
  // A function is spelled out where it is reached first and named by its number after that: linear, and still ordered.
  std::map<uint32_t, size_t> numbers;
  const auto walk = [&](const auto& self, uint32_t node) -> void {
    const auto [known, fresh] = numbers.emplace(node, numbers.size());
    if (!fresh) {
      skeleton.commands.push_back("again " + std::to_string(known->second));
      return;
    }
    const Function& f = *nodes_[node].function;
    for (uint32_t c = 0; c < f.calls.size(); ++c) {
      const Call& call = f.calls[c];
      if (RoleOf(node, call) == CallRole::kCommand) {
        const std::string& name = Text(Key(node, call.name));
        if (name == "lockstep::workflow::get_version") skeleton.changes.push_back(Text(Key(node, call.literal)));
        else skeleton.commands.push_back(name + " " + Text(Key(node, call.literal)));
      }
      for (const auto& target : targets_[node][c]) {
        if (may_command_[target.node] && Enters(target.node)) self(self, target.node);
      }
    }
  };
  walk(walk, root);
  std::sort(skeleton.changes.begin(), skeleton.changes.end());
  skeleton.changes.erase(std::unique(skeleton.changes.begin(), skeleton.changes.end()), skeleton.changes.end());
  return skeleton;
}

LinkResult Program::Evaluate() {
  FindRoots();
  for (const auto& [root, scope] : roots_) reaches_.push_back(ReachableUnder(root, scope));
  live_.assign(nodes_.size(), false);
  for (const auto& reach : reaches_) {
    for (uint32_t node : reach.order) live_[node] = true;
  }
  for (uint32_t activity : activities_) {
    for (uint32_t node : ReachableFrom(activity).order) live_[node] = true;
  }
  // Results of roots are stored; results of activities are recorded.
  for (const auto& [root, scope] : roots_) {
    const Function& f = *nodes_[root].function;
    if ((f.flags & (kConstructor | kDestructor)) != 0) continue;
    sink_bits_[blocks_[root].result] |= kSinkPersist;
    for (uint32_t p = 1; scope == "S2" && p <= f.params; ++p) sink_bits_[blocks_[root].out_params + p] |= kSinkPersist;
  }
  for (uint32_t activity : activities_) sink_bits_[blocks_[activity].result] |= kSinkActivityResult;
  Taint();
  for (size_t r = 0; r < roots_.size(); ++r) {
    for (uint32_t node : reaches_[r].order) {
      HazardsOf(roots_[r].first, roots_[r].second, reaches_[r], node);
      CallsOf(roots_[r].first, roots_[r].second, reaches_[r], node);
      ShapesOf(roots_[r].first, roots_[r].second, reaches_[r], node);
    }
  }
  ActivityOrder();
  Handlers();
  Regions();
  Gates();
  LinkResult result;
  for (size_t r = 0; r < roots_.size(); ++r) {
    const auto [root, scope] = roots_[r];
    if (scope != "S1" || !may_command_[root]) continue;
    Skeleton skeleton = SkeletonOf(root);
    if (options_.command_baseline) {
      const auto stored = options_.command_baseline->find(NameOf(root));
      if (stored != options_.command_baseline->end() && stored->second.commands != skeleton.commands) {
        const auto& old = stored->second.changes;
        const bool gated = std::any_of(skeleton.changes.begin(), skeleton.changes.end(), [&](const auto& change) {
          return std::find(old.begin(), old.end(), change) == old.end();
        });
        if (!gated) {
          Report(root, scope, reaches_[r], root, "determinism-ungated-command-change", nodes_[root].function->site,
                 "commands of " + NameOf(root) + " differ from the stored ones");
        }
      }
    }
    result.skeletons.emplace(NameOf(root), std::move(skeleton));
  }
  IndirectCalls();
  std::sort(findings_.begin(), findings_.end(), [](const Finding& a, const Finding& b) {
    return std::tie(a.at, a.rule->id, a.root, a.what) < std::tie(b.at, b.rule->id, b.root, b.what);
  });
  result.findings = std::move(findings_);
  for (const auto& trust : trusted_) result.trusted.push_back({trust.function, trust.reason, trust.at});
  for (const auto& [root, scope] : roots_) result.roots.push_back(NameOf(root));
  std::sort(result.roots.begin(), result.roots.end());
  std::set<std::string> files;
  for (uint32_t n = 0; n < nodes_.size(); ++n) {
    if (live_[n]) files.insert(Text(Key(n, nodes_[n].function->site.file)));
  }
  result.reachable_files.assign(files.begin(), files.end());
  return result;
}

}  // namespace lockstep::analyzer
