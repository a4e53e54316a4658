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
    sink_bits_.push_back(Text(text) == kNameSink ? kSinkName | kSinkCommand : 0);
    place_flags_.push_back(0);
    owner_of_place_.push_back(kNone);
    holds_.push_back(Text(text).starts_with('&') || holders_.count(text) != 0);
    text_places_.push_back(Text(text) == kNameSink || text_storage_.count(text) != 0);
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
  text_places_.assign(next, false);
  for (uint32_t n = 0; n < nodes_.size(); ++n) {
    const Function& f = *nodes_[n].function;
    const Blocks& b = blocks_[n];
    const auto bit = [](uint64_t mask, uint32_t i) { return i < 64 && (mask >> i & 1U) != 0; };
    for (uint32_t p = 0; p <= f.params; ++p) holds_[b.params + p] = holds_[b.out_params + p] = bit(f.holds, p);
    holds_[b.result] = f.holds_result;
    for (uint32_t p = 0; p <= f.params; ++p) text_places_[b.params + p] = text_places_[b.out_params + p] = bit(f.texts, p);
    text_places_[b.result] = f.text_result;
    for (uint32_t c = 0; c < f.calls.size(); ++c) {
      holds_[b.results + c] = f.calls[c].holds_result;
      text_places_[b.results + c] = f.calls[c].text_result;
      holds_[b.targets + c] = true;
      for (uint32_t a = 0; a < f.calls[c].args.size(); ++a) holds_[b.arg_begin[c] + a] = bit(f.calls[c].holds, a), text_places_[b.arg_begin[c] + a] = bit(f.calls[c].texts, a);
    }
    for (uint32_t o = 0; o < f.outs.size(); ++o) {
      holds_[b.outs + o] = bit(f.calls[f.outs[o].first].holds, f.outs[o].second);
      text_places_[b.outs + o] = bit(f.calls[f.outs[o].first].texts, f.outs[o].second);
    }
    for (uint32_t d = 0; d < f.derived.size(); ++d) text_places_[b.derived + d] = true;
    for (uint32_t h = 0; h < f.hazards.size(); ++h) text_places_[b.hazards + h] = true;
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
          // Only text takes that way.
          const auto owner = field_owner_.find(Key(n, flow.index));
          if (flow.port == Port::kField && owner != field_owner_.end() && IsValueClass(owner->second)) {
            Feed(n, flow.labels, place, EdgeKind::kMember);
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
      if (f.branches[i].inert) place_flags_[b.branches + i] |= 1;
      else sink_bits_[b.branches + i] = kSinkBranch;
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
          const auto has = [&](uint32_t mask) { return a > 0 && (mask >> (a - 1) & 1U) != 0; };
          sink_bits_[place] = has(call.name_args) ? kSinkCommand | kSinkName : has(call.decide_args) ? kSinkCommand : kSinkPayload;
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

// Where the address of a function may arrive, along realisable paths over the calls that are resolved so far.
std::vector<uint32_t> Program::ReachFromFunction(uint32_t key) {
  const uint32_t start = GlobalPlace(Intern("&" + Text(key)));
  struct State {
    uint32_t place;
    bool down;
  };
  std::vector<uint32_t> order{start};
  std::vector<State> work{{start, false}};
  std::unordered_map<uint32_t, uint8_t> seen{{start, 1}};  // bit 0: may still go up, bit 1: entered a call
  constexpr size_t kLimit = 40000;  // A function that is stored everywhere is resolved by signature.
  while (!work.empty() && order.size() < kLimit) {
    const State state = work.back();
    work.pop_back();
    for (const Edge& edge : edges_[state.place]) {
      if (!holds_[edge.to] || edge.kind == EdgeKind::kMember || (edge.kind == EdgeKind::kReturn && state.down)) continue;
      const bool down = edge.kind == EdgeKind::kCall || (edge.kind != EdgeKind::kHeap && state.down);
      uint8_t& mask = seen[edge.to];
      if (mask == 0) order.push_back(edge.to);
      if ((mask & (down ? 3 : 1)) != 0) continue;  // What may still go up covers what may only go down.
      mask |= down ? 2 : 1;
      work.push_back({edge.to, down});
    }
  }
  return order;
}

// Argument-to-result edges at every call, computed to a fixed point over all functions; `callables` looks at the places alone that
// can hold a function.
void Program::Summaries(bool callables) {
  callers_.assign(nodes_.size(), {});
  for (uint32_t n = 0; n < nodes_.size(); ++n) {
    for (uint32_t c = 0; c < targets_[n].size(); ++c) {
      for (const auto& target : targets_[n][c]) callers_[target.node].push_back({n, c});
    }
  }
  // Path edges: place `to` of a function is reached from its parameter `from`.
  // Hash sets are only probed here, never walked.
  std::unordered_set<uint64_t> paths;
  const auto pair = [](uint32_t a, uint32_t b) { return static_cast<uint64_t>(a) << 32 | b; };
  std::deque<std::pair<uint32_t, uint32_t>> work;
  std::vector<std::vector<uint32_t>> sources(edges_.size());
  const auto push = [&](uint32_t from, uint32_t to) {
    if ((callables && !holds_[to]) || !paths.insert(pair(from, to)).second) return;
    sources[to].push_back(from);
    work.emplace_back(from, to);
  };
  for (uint32_t n = 0; n < nodes_.size(); ++n) {
    for (uint32_t p = 0; p <= nodes_[n].function->params; ++p) push(blocks_[n].params + p, blocks_[n].params + p);
  }
  const auto summary = [&](uint32_t from, uint32_t to) {
    if (!summary_edges_.insert(pair(from, to)).second) return;
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
      for (const auto& caller : callers_[node]) {
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
  summarised_ = !callables;
}

// What a value at a place can reach, for all places at once: the masks of the successors, joined until nothing changes. `up` may
// still leave the function it is in through its result, `down` has entered a call and may not.
void Program::Reachable() {
  if (!summarised_) Summaries(false);
  const size_t count = edges_.size();
  std::vector<uint32_t> begin(count + 1, 0);
  for (const auto& list : edges_) {
    for (const Edge& edge : list) ++begin[edge.to + 1];
  }
  for (size_t i = 0; i < count; ++i) begin[i + 1] += begin[i];
  struct Incoming {
    uint32_t from;
    EdgeKind kind;
  };
  std::vector<Incoming> incoming(begin[count]);
  std::vector<uint32_t> next(begin.begin(), begin.end() - 1);
  for (uint32_t from = 0; from < count; ++from) {
    for (const Edge& edge : edges_[from]) incoming[next[edge.to]++] = {from, edge.kind};
  }
  for (const Search search : {kAnyValue, kOrderOnly, kTextOnly}) {
    const bool order = search == kOrderOnly;
    const bool text = search == kTextOnly;
    auto& masks = reach_masks_[search];
    masks.assign(count, {});
    std::vector<uint32_t> work;
    std::vector<bool> queued(count, false);
    const auto join = [&](uint32_t place, bool down, uint32_t bits) {
      uint32_t& mask = masks[place][down ? 1 : 0];
      if ((mask | bits) == mask || (text && !text_places_[place])) return;
      mask |= bits;
      if (!queued[place]) work.push_back(place);
      queued[place] = true;
    };
    for (uint32_t place = 0; place < count; ++place) {
      const uint32_t owner = owner_of_place_[place];
      if (owner != kNone && !live_[owner]) continue;
      const uint32_t own = sink_bits_[place] | ((place_flags_[place] & 1) != 0 ? kReachInert : 0) | ((place_flags_[place] & 2) != 0 ? kReachEscape : 0);
      if (own == 0) continue;
      join(place, false, own);
      join(place, true, own);
    }
    while (!work.empty()) {
      const uint32_t place = work.back();
      work.pop_back();
      queued[place] = false;
      const auto [up, down] = masks[place];
      for (uint32_t i = begin[place]; i < begin[place + 1]; ++i) {
        const Incoming& edge = incoming[i];
        switch (edge.kind) {
          case EdgeKind::kUnordered:
            if (order) break;
            [[fallthrough]];
          case EdgeKind::kInside:
            join(edge.from, false, up);
            join(edge.from, true, down);
            break;
          case EdgeKind::kCall:
            join(edge.from, false, down);
            join(edge.from, true, down);
            break;
          case EdgeKind::kReturn: join(edge.from, false, up); break;
          case EdgeKind::kHeap:
            join(edge.from, false, up);
            join(edge.from, true, up);
            break;
          case EdgeKind::kMember:
            // Text in members of values: by member, merged over the objects.
            if (!text) break;
            join(edge.from, false, up);
            join(edge.from, true, up);
            break;
        }
      }
    }
  }
  reached_ = true;
}

Program::FlowResult Program::Follow(uint32_t start, bool order) {
  if (!reached_) Reachable();
  const uint32_t mask = reach_masks_[order ? kOrderOnly : kAnyValue][start][0];
  return {.sinks = mask & 0xffff, .inert = (mask & kReachInert) != 0, .escapes = (mask & kReachEscape) != 0};
}

// A shortest way from a place to one of the sinks; empty when there is none.
std::vector<uint32_t> Program::PathToSink(uint32_t start, bool order, uint32_t sinks) {
  if (!reached_) Reachable();
  const auto& masks = reach_masks_[order ? kOrderOnly : kAnyValue];
  struct Step {
    uint32_t place;
    uint32_t before;
    bool down;
  };
  std::vector<Step> steps{{start, kNone, false}};
  std::unordered_map<uint32_t, uint8_t> seen{{start, 1}};
  for (size_t next = 0; next < steps.size(); ++next) {
    const Step step = steps[next];
    if (next > 0 && (sink_bits_[step.place] & sinks) != 0 && (owner_of_place_[step.place] == kNone || live_[owner_of_place_[step.place]])) {
      std::vector<uint32_t> path;
      for (uint32_t i = static_cast<uint32_t>(next); i != kNone; i = steps[i].before) path.push_back(steps[i].place);
      std::reverse(path.begin(), path.end());
      return path;
    }
    for (const Edge& edge : edges_[step.place]) {
      bool down = step.down;
      if (edge.kind == EdgeKind::kMember || (edge.kind == EdgeKind::kUnordered && order) || (edge.kind == EdgeKind::kReturn && down)) continue;
      if (edge.kind == EdgeKind::kCall) down = true;
      if (edge.kind == EdgeKind::kHeap) down = false;
      if ((masks[edge.to][down ? 1 : 0] & sinks) == 0) continue;
      uint8_t& mask = seen[edge.to];
      const uint8_t bit = down ? 2 : 1;
      if ((mask & (bit | 1)) != 0) continue;
      mask |= bit;
      steps.push_back({edge.to, static_cast<uint32_t>(next), down});
    }
  }
  return {};
}

// Where the value of a hazard matters: the nearest command, branch, hash or result that it reaches.
ChainStep Program::SinkOf(uint32_t node, uint32_t hazard, uint32_t sinks) {
  const auto key = std::make_pair(node, hazard);
  if (const auto it = ends_.find(key); it != ends_.end()) return it->second;
  ChainStep end;
  const auto path = PathToSink(blocks_[node].hazards + hazard, nodes_[node].function->hazards[hazard].order, sinks);
  const uint32_t place = path.empty() ? kNone : path.back();
  const uint32_t owner = place == kNone ? kNone : owner_of_place_[place];
  if (owner != kNone) {
    const Function& f = *nodes_[owner].function;
    const Blocks& b = blocks_[owner];
    if (uses_[place].node != kNone) {
      const Call& call = f.calls[uses_[place].call];
      end = {"an argument of " + Text(Key(owner, call.name)), PlaceIn(owner, call.site)};
    } else if (place >= b.branches && place < b.branches + f.branches.size()) {
      end = {"a branch in " + NameOf(owner), PlaceIn(owner, f.branches[place - b.branches].site)};
    } else if (place == b.result) {
      end = {"the result of " + NameOf(owner), PlaceIn(owner, f.site)};
    }
  }
  return ends_.emplace(key, end).first->second;
}

const Program::FlowResult& Program::FlowOf(uint32_t node, uint32_t hazard) {
  const auto key = std::make_pair(node, hazard);
  if (const auto it = flows_.find(key); it != flows_.end()) return it->second;
  const Function& f = *nodes_[node].function;
  FlowResult result = Follow(blocks_[node].hazards + hazard, f.hazards[hazard].order);
  // A command inside the loop runs in that order.
  for (uint32_t c = 0; c < f.calls.size(); ++c) {
    const auto& order = f.calls[c].order;
    if (std::find(order.begin(), order.end(), hazard) != order.end() && CallCommands(node, c)) result.sinks |= kSinkCommand;
  }
  return flows_.emplace(key, result).first->second;
}

// Places that data reaches which is neither workflow input nor constant: hazards, counters, mutable globals.
void Program::Taint() {
  if (!summarised_) Summaries(false);
  tainted_.assign(edges_.size(), false);
  // Bit 0: may still go up; bit 1: entered a call; the same again for values whose order alone is in doubt.
  std::vector<uint8_t> seen(edges_.size(), 0);
  struct State {
    uint32_t place;
    bool down, order;
  };
  std::vector<State> work;
  const auto push = [&](uint32_t place, bool down, bool order) {
    const uint8_t up_bit = order ? 4 : 1;
    const uint8_t bit = down ? static_cast<uint8_t>(up_bit << 1) : up_bit;
    if ((seen[place] & (bit | up_bit)) != 0) return;  // What may still go up covers what may only go down.
    seen[place] |= bit;
    tainted_[place] = true;
    work.push_back({place, down, order});
  };
  for (uint32_t n = 0; n < nodes_.size(); ++n) {
    const Function& f = *nodes_[n].function;
    if (!live_[n]) continue;
    for (uint32_t h = 0; h < f.hazards.size(); ++h) {
      const std::string& rule = Text(Key(n, f.hazards[h].rule));
      if (f.hazards[h].mode == HazardMode::kEffect || rule == "determinism-string-built-command" || rule == "determinism-engine-seed") continue;
      push(blocks_[n].hazards + h, false, f.hazards[h].order);
    }
  }
  if (const auto it = ids_.find("counter:"); it != ids_.end()) {
    if (const auto place = global_places_.find(it->second); place != global_places_.end()) push(place->second, false, false);
  }
  while (!work.empty()) {
    const State state = work.back();
    work.pop_back();
    for (const Edge& edge : edges_[state.place]) {
      switch (edge.kind) {
        case EdgeKind::kUnordered:
          if (state.order) break;
          [[fallthrough]];
        case EdgeKind::kInside: push(edge.to, state.down, state.order); break;
        case EdgeKind::kCall: push(edge.to, true, state.order); break;
        case EdgeKind::kReturn:
          if (!state.down) push(edge.to, false, state.order);
          break;
        case EdgeKind::kHeap: push(edge.to, false, state.order); break;
        case EdgeKind::kMember: break;
      }
    }
  }
}

// Whether data that is no workflow input goes into a text and that text names a command, along one path of calls: parameters
// are followed to what each caller passes, and the text to what that same call gives back.
bool Program::TaintedTextReachesName(uint32_t node, const LabelSet& inputs, const std::vector<uint32_t>& places,
                                     std::set<std::pair<uint32_t, uint32_t>>* seen) {
  const auto reaches = [&](uint32_t way) {
    return std::any_of(places.begin(), places.end(), [&](uint32_t place) { return (reach_masks_[kTextOnly][place][way] & kSinkName) != 0; });
  };
  if (!reaches(0)) return false;
  for (Label label : inputs) {
    const uint32_t place = PlaceOfLabel(node, label);
    const bool tainted = place != kNone && place < tainted_.size() && tainted_[place];
    const bool counter = KindOf(label) == LabelKind::kGlobal && Text(Key(node, IndexOf(label))) == "counter:";
    if (!tainted && !counter) continue;
    if (KindOf(label) != LabelKind::kParam) return true;
    if (reaches(1)) return true;  // Used as a name in here or further down.
    const uint32_t parameter = IndexOf(label);
    if (!seen->emplace(node, parameter).second) continue;
    for (const auto& [caller, call] : callers_[node]) {
      const Function& outer = *nodes_[caller].function;
      if (!live_[caller] || parameter >= outer.calls[call].args.size()) continue;
      std::vector<uint32_t> results{blocks_[caller].results + call};
      for (uint32_t o = 0; o < outer.outs.size(); ++o) {
        if (outer.outs[o].first == call) results.push_back(blocks_[caller].outs + o);
      }
      if (TaintedTextReachesName(caller, outer.calls[call].args[parameter], results, seen)) return true;
    }
  }
  return false;
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
