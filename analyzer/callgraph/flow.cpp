// The value graph: places, edges, and the search for sinks along realisable paths. A value that entered a function through a
// parameter leaves it only to the caller it came from: summary edges (argument to result) make that cheap, and a search goes
// up through returns first and down through calls after, never up again. The heap (fields, globals) forgets the direction.
#include <algorithm>
#include <deque>
#include <unordered_set>

#include "analyzer/callgraph/program_internal.h"

namespace lockstep::analyzer {

uint32_t Program::GlobalPlace(uint32_t text) {
  const auto [it, added] = global_places_.emplace(text, static_cast<uint32_t>(edges_.size()));
  if (added) {
    edges_.emplace_back();
    uses_.emplace_back();
    sink_bits_.push_back(0);
    place_flags_.push_back(0);
    owner_of_place_.push_back(kNone);
    holds_.push_back(Text(text).starts_with('&') || holders_.count(text) != 0);
  }
  return it->second;
}

uint32_t Program::PlaceOfLabel(uint32_t node, Label label) {
  const Blocks& b = blocks_[node];
  const uint32_t index = IndexOf(label);
  switch (KindOf(label)) {
    case LabelKind::kParam: return index <= nodes_[node].function->params ? b.params + index : kNone;
    case LabelKind::kHazard: return b.hazards + index;
    case LabelKind::kResult: return b.results + index;
    case LabelKind::kOut: return b.outs + index;
    case LabelKind::kDerived: return b.derived + index;
    case LabelKind::kField:
    case LabelKind::kGlobal: return GlobalPlace(Key(node, index));
    case LabelKind::kFunction: {
      const uint32_t key = Key(node, index);
      address_taken_.insert(key);
      return GlobalPlace(Intern("&" + Text(key)));
    }
  }
  return kNone;
}

void Program::AddEdge(uint32_t from, uint32_t to, EdgeKind kind) { edges_[from].push_back({to, kind}); }

void Program::Feed(uint32_t node, const LabelSet& labels, uint32_t to, EdgeKind kind) {
  for (Label label : labels) {
    const uint32_t from = PlaceOfLabel(node, label);
    if (from == kNone) continue;
    const LabelKind source = KindOf(label);
    const bool heap = source == LabelKind::kField || source == LabelKind::kGlobal || source == LabelKind::kFunction;
    AddEdge(from, to, heap && kind == EdgeKind::kInside ? EdgeKind::kHeap : kind);
  }
}

void Program::BuildFlow() {
  blocks_.resize(nodes_.size());
  uint32_t next = 0;
  for (uint32_t n = 0; n < nodes_.size(); ++n) {
    const Function& f = *nodes_[n].function;
    Blocks& b = blocks_[n];
    const auto take = [&](size_t count) {
      const uint32_t begin = next;
      next += static_cast<uint32_t>(count);
      return begin;
    };
    b.params = take(f.params + 1);
    b.result = take(1);
    b.out_params = take(f.params + 1);
    b.results = take(f.calls.size());
    b.targets = take(f.calls.size());
    b.args = next;
    for (const auto& call : f.calls) b.arg_begin.push_back(take(call.args.size()));
    b.outs = take(f.outs.size());
    b.derived = take(f.derived.size());
    b.hazards = take(f.hazards.size());
    b.branches = take(f.branches.size());
    owner_of_place_.resize(next, n);
  }
  edges_.resize(next);
  uses_.resize(next);
  holds_.assign(next, false);
  for (uint32_t n = 0; n < nodes_.size(); ++n) {
    const Function& f = *nodes_[n].function;
    const Blocks& b = blocks_[n];
    const auto bit = [](uint64_t mask, uint32_t i) { return i < 64 && (mask >> i & 1U) != 0; };
    for (uint32_t p = 0; p <= f.params; ++p) holds_[b.params + p] = holds_[b.out_params + p] = bit(f.holds, p);
    holds_[b.result] = f.holds_result;
    for (uint32_t c = 0; c < f.calls.size(); ++c) {
      holds_[b.results + c] = f.calls[c].holds_result;
      holds_[b.targets + c] = true;
      for (uint32_t a = 0; a < f.calls[c].args.size(); ++a) holds_[b.arg_begin[c] + a] = bit(f.calls[c].holds, a);
    }
    for (uint32_t o = 0; o < f.outs.size(); ++o) holds_[b.outs + o] = bit(f.calls[f.outs[o].first].holds, f.outs[o].second);
  }
  sink_bits_.assign(next, 0);
  place_flags_.assign(next, 0);
  for (uint32_t n = 0; n < nodes_.size(); ++n) {
    const Function& f = *nodes_[n].function;
    const Blocks& b = blocks_[n];
    for (uint32_t d = 0; d < f.derived.size(); ++d) Feed(n, f.derived[d], b.derived + d, EdgeKind::kUnordered);
    for (const auto& flow : f.flows) {
      switch (flow.port) {
        case Port::kReturn: Feed(n, flow.labels, b.result); break;
        case Port::kOutParam:
          if (flow.index <= f.params) Feed(n, flow.labels, b.out_params + flow.index);
          break;
        case Port::kField:
        case Port::kGlobal: {
          const uint32_t place = GlobalPlace(Key(n, flow.index));
          // A member of a value travels with its object; merging it over all objects would connect everything with everything.
          // Only callables take that way: a table of functions is often such a value.
          const auto owner = field_owner_.find(Key(n, flow.index));
          if (flow.port == Port::kField && owner != field_owner_.end() && copied_.count(owner->second) != 0) {
            Feed(n, flow.labels, place, EdgeKind::kCallable);
            break;
          }
          Feed(n, flow.labels, place, EdgeKind::kHeap);
          if (flow.port == Port::kField || Text(Key(n, flow.index)).rfind("cell:", 0) != 0) place_flags_[place] |= 2;
          break;
        }
      }
    }
    for (uint32_t i = 0; i < f.branches.size(); ++i) {
      Feed(n, f.branches[i].labels, b.branches + i);
      sink_bits_[b.branches + i] = kSinkBranch;
    }
    for (uint32_t c = 0; c < f.calls.size(); ++c) {
      const Call& call = f.calls[c];
      const CallRole role = RoleOf(n, call);
      Feed(n, call.target, b.targets + c);
      uses_[b.targets + c] = {n, c, true, 0};
      for (uint32_t a = 0; a < call.args.size(); ++a) {
        const uint32_t place = b.arg_begin[c] + a;
        Feed(n, call.args[a], place);
        uses_[place] = {n, c, false, a};
        if (role == CallRole::kCommand) {
          const bool name = a > 0 && (call.name_args >> (a - 1) & 1U) != 0;
          sink_bits_[place] = name ? kSinkCommand : kSinkPayload;
        } else if (role == CallRole::kInert) {
          place_flags_[place] |= 1;
        } else if (role == CallRole::kHash) {
          sink_bits_[place] = kSinkHash;
        } else if (role == CallRole::kOpaque || role == CallRole::kCut) {
          place_flags_[place] |= 2;
        }
      }
    }
  }
  ConnectCalls();
}

// Edges between calls and the functions they reach. Called again whenever a new target was found.
void Program::ConnectCalls() {
  for (uint32_t n = 0; n < nodes_.size(); ++n) {
    const Function& f = *nodes_[n].function;
    const Blocks& b = blocks_[n];
    for (uint32_t c = 0; c < f.calls.size(); ++c) {
      const Call& call = f.calls[c];
      for (const auto& target : targets_[n][c]) {
        if (!connected_.emplace(n, c, target.node).second) continue;
        const Function& callee = *nodes_[target.node].function;
        const Blocks& t = blocks_[target.node];
        AddEdge(t.result, b.results + c, EdgeKind::kReturn);
        if (target.callable) {
          // A library function hands its arguments to the callable in some order.
          for (uint32_t a = 0; a < call.args.size(); ++a) {
            // The callable itself is not among them.
            const bool itself = std::any_of(call.args[a].begin(), call.args[a].end(), [&](Label label) {
              return KindOf(label) == LabelKind::kFunction && Key(n, IndexOf(label)) == KeyOf(target.node);
            });
            if (itself) continue;
            for (uint32_t p = 1; p <= callee.params; ++p) AddEdge(b.arg_begin[c] + a, t.params + p, EdgeKind::kCall);
          }
          continue;
        }
        for (uint32_t a = 0; a < call.args.size() && a <= callee.params; ++a) {
          AddEdge(b.arg_begin[c] + a, t.params + a, EdgeKind::kCall);
        }
        for (uint32_t o = 0; o < f.outs.size(); ++o) {
          if (f.outs[o].first == c && f.outs[o].second <= callee.params) {
            AddEdge(t.out_params + f.outs[o].second, b.outs + o, EdgeKind::kReturn);
          }
        }
      }
    }
  }
}

std::vector<uint32_t> Program::ReachFromFunction(uint32_t key) {
  const uint32_t start = GlobalPlace(Intern("&" + Text(key)));
  std::vector<uint32_t> order{start};
  std::unordered_map<uint32_t, bool> seen{{start, true}};
  constexpr size_t kLimit = 20000;  // A function that is stored everywhere is resolved by signature.
  for (size_t next = 0; next < order.size() && order.size() < kLimit; ++next) {
    for (const Edge& edge : edges_[order[next]]) {
      if (holds_[edge.to] && seen.emplace(edge.to, true).second) order.push_back(edge.to);
    }
  }
  return order;
}

// Argument-to-result edges at every call, computed to a fixed point over all functions.
void Program::Summaries() {
  struct Incoming {
    uint32_t node, call;
  };
  std::vector<std::vector<Incoming>> callers(nodes_.size());
  for (uint32_t n = 0; n < nodes_.size(); ++n) {
    for (uint32_t c = 0; c < targets_[n].size(); ++c) {
      for (const auto& target : targets_[n][c]) callers[target.node].push_back({n, c});
    }
  }
  // Path edges: place `to` of a function is reached from its parameter `from`.
  // Hash sets are only probed here, never walked.
  std::unordered_set<uint64_t> paths;
  const auto pair = [](uint32_t a, uint32_t b) { return static_cast<uint64_t>(a) << 32 | b; };
  std::deque<std::pair<uint32_t, uint32_t>> work;
  std::vector<std::vector<uint32_t>> sources(edges_.size());
  const auto push = [&](uint32_t from, uint32_t to) {
    if (!paths.insert(pair(from, to)).second) return;
    sources[to].push_back(from);
    work.emplace_back(from, to);
  };
  for (uint32_t n = 0; n < nodes_.size(); ++n) {
    for (uint32_t p = 0; p <= nodes_[n].function->params; ++p) push(blocks_[n].params + p, blocks_[n].params + p);
  }
  std::unordered_set<uint64_t> summary_edges;
  const auto summary = [&](uint32_t from, uint32_t to) {
    if (!summary_edges.insert(pair(from, to)).second) return;
    AddEdge(from, to, EdgeKind::kInside);
    const std::vector<uint32_t> reaching = sources[from];
    for (uint32_t source : reaching) push(source, to);
  };
  while (!work.empty()) {
    const auto [from, to] = work.front();
    work.pop_front();
    const uint32_t node = owner_of_place_[from];
    const Blocks& b = blocks_[node];
    const Function& f = *nodes_[node].function;
    const bool result = to == b.result;
    const bool out = to >= b.out_params && to <= b.out_params + f.params;
    if (result || out) {
      const uint32_t parameter = from - b.params;
      for (const auto& caller : callers[node]) {
        const Function& outer = *nodes_[caller.node].function;
        const Blocks& o = blocks_[caller.node];
        const Call& call = outer.calls[caller.call];
        if (parameter >= call.args.size()) continue;
        const uint32_t argument = o.arg_begin[caller.call] + parameter;
        if (result) summary(argument, o.results + caller.call);
        for (uint32_t i = 0; out && i < outer.outs.size(); ++i) {
          if (outer.outs[i].first == caller.call && outer.outs[i].second == to - b.out_params) summary(argument, o.outs + i);
        }
      }
    }
    for (size_t e = 0; e < edges_[to].size(); ++e) {
      const Edge edge = edges_[to][e];
      if ((edge.kind == EdgeKind::kInside || edge.kind == EdgeKind::kUnordered) && owner_of_place_[edge.to] == node) push(from, edge.to);
    }
  }
  summarised_ = true;
}

Program::FlowResult Program::Follow(uint32_t start, bool order, std::vector<uint32_t>* visited) {
  if (!summarised_) Summaries();
  FlowResult result;
  // State: place and whether a call was entered already.
  std::unordered_map<uint32_t, uint8_t> seen;
  std::deque<std::pair<uint32_t, bool>> work;
  const auto push = [&](uint32_t place, bool down) {
    uint8_t& mask = seen[place];
    const uint8_t bit = down ? 2 : 1;
    if ((mask & (bit | 1)) != 0) return;  // What may still go up covers what may only go down.
    if (mask == 0 && visited != nullptr) visited->push_back(place);
    mask |= bit;
    work.emplace_back(place, down);
  };
  push(start, false);
  while (!work.empty()) {
    const auto [place, down] = work.front();
    work.pop_front();
    const uint32_t owner = owner_of_place_[place];
    if (place != start && (owner == kNone || live_[owner])) {
      result.sinks |= sink_bits_[place];
      if ((place_flags_[place] & 1) != 0) ++result.inert;
      if ((place_flags_[place] & 2) != 0) ++result.escapes;
    }
    for (const Edge& edge : edges_[place]) {
      switch (edge.kind) {
        case EdgeKind::kInside: push(edge.to, down); break;
        case EdgeKind::kUnordered:
          if (!order) push(edge.to, down);
          break;
        case EdgeKind::kCall: push(edge.to, true); break;
        case EdgeKind::kReturn:
          if (!down) push(edge.to, false);
          break;
        case EdgeKind::kHeap: push(edge.to, false); break;
        case EdgeKind::kCallable: break;
      }
    }
  }
  return result;
}

const Program::FlowResult& Program::FlowOf(uint32_t node, uint32_t hazard) {
  const auto key = std::make_pair(node, hazard);
  if (const auto it = flows_.find(key); it != flows_.end()) return it->second;
  const Function& f = *nodes_[node].function;
  FlowResult result = Follow(blocks_[node].hazards + hazard, f.hazards[hazard].order, nullptr);
  // A command inside the loop runs in that order.
  for (uint32_t c = 0; c < f.calls.size(); ++c) {
    const auto& order = f.calls[c].order;
    if (std::find(order.begin(), order.end(), hazard) != order.end() && CallCommands(node, c)) result.sinks |= kSinkCommand;
  }
  return flows_.emplace(key, result).first->second;
}

// Places that data reaches which is neither workflow input nor constant: hazards, counters, mutable globals.
void Program::Taint() {
  tainted_.assign(edges_.size(), false);
  std::vector<uint32_t> visited;
  for (uint32_t n = 0; n < nodes_.size(); ++n) {
    const Function& f = *nodes_[n].function;
    if (!live_[n]) continue;
    for (uint32_t h = 0; h < f.hazards.size(); ++h) {
      const std::string& rule = Text(Key(n, f.hazards[h].rule));
      if (f.hazards[h].mode == HazardMode::kEffect || rule == "determinism-string-built-command" || rule == "determinism-engine-seed") continue;
      Follow(blocks_[n].hazards + h, f.hazards[h].order, &visited);
    }
  }
  if (const auto it = ids_.find("counter:"); it != ids_.end()) {
    if (const auto place = global_places_.find(it->second); place != global_places_.end()) Follow(place->second, false, &visited);
  }
  for (uint32_t place : visited) tainted_[place] = true;
}

bool Program::InputsTainted(uint32_t node, const Hazard& hazard) {
  for (Label label : hazard.inputs) {
    const uint32_t place = PlaceOfLabel(node, label);
    if (place == kNone) continue;
    if (place < tainted_.size() && tainted_[place]) return true;
    if (KindOf(label) == LabelKind::kGlobal) {
      const std::string& name = Text(Key(node, IndexOf(label)));
      if (name.rfind("counter:", 0) == 0) return true;
    }
  }
  return false;
}

}  // namespace lockstep::analyzer
