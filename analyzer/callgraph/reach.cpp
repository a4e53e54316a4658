// What a root reaches, and by which calls. Calls are resolved for the whole program at once, so a call through a function value has
// every function for a target that arrives there from anywhere. For one root only those count that can arrive while it runs: made by a
// function that it reaches, stored in an object, or handed to the root itself.
//
// Invariant: the search starts from all targets and only takes away, so a target that is left out cannot be reached.
#include <algorithm>

#include "analyzer/callgraph/program_internal.h"

namespace lockstep::analyzer {

bool Program::Follows(const Reach& reach, uint32_t node, uint32_t call, const Target& target) const {
  if (!Enters(target.node)) return false;
  if (reach.injected && nodes_[node].function->calls[call].port) return false;
  return reach.blocked.empty() || reach.blocked.count({node, call, target.node}) == 0;
}

void Program::Walk(uint32_t root, Reach* reach) const {
  reach->parent.clear();
  reach->order.assign({root});
  reach->parent.emplace(root, std::make_pair(kNone, kNone));
  for (size_t next = 0; next < reach->order.size(); ++next) {
    const uint32_t current = reach->order[next];
    for (uint32_t c = 0; c < targets_[current].size(); ++c) {
      for (const auto& target : targets_[current][c]) {
        if (!Follows(*reach, current, c, target) || reach->parent.count(target.node) != 0) continue;
        reach->parent.emplace(target.node, std::make_pair(current, c));
        reach->order.push_back(target.node);
      }
    }
  }
}

Program::Reach Program::ReachableFrom(uint32_t root) const {
  Reach reach;
  Walk(root, &reach);
  return reach;
}

// Places where the address of a function arrives while the root runs. Functions outside hand it in through storage, or as the object or
// an argument of the root; what engine code is given as an argument is a port of its caller's.
std::set<uint32_t> Program::ArrivalsUnder(uint32_t root, const Reach& reach, uint32_t address) const {
  const auto inside = [&](uint32_t place) {
    const uint32_t owner = owner_of_place_[place];
    return owner == kNone || reach.parent.count(owner) != 0;
  };
  const auto enters = [&](uint32_t place) {
    if (owner_of_place_[place] != root) return false;
    const uint32_t parameter = place - blocks_[root].params;
    return parameter == 0 || (!reach.injected && parameter <= nodes_[root].function->params);
  };
  struct State {
    uint32_t place;
    bool down;
  };
  std::vector<State> work{{address, false}};
  std::unordered_map<uint32_t, uint8_t> seen{{address, 1}};
  std::set<uint32_t> arrivals;
  while (!work.empty()) {
    const State state = work.back();
    work.pop_back();
    for (const Edge& edge : edges_[state.place]) {
      if (!holds_[edge.to] || edge.kind == EdgeKind::kMember || (edge.kind == EdgeKind::kReturn && state.down)) continue;
      const bool crosses = edge.kind != EdgeKind::kHeap && !inside(state.place) && inside(edge.to);
      if (crosses && !(edge.kind == EdgeKind::kCall && enters(edge.to))) continue;
      const bool down = edge.kind == EdgeKind::kCall || (edge.kind != EdgeKind::kHeap && state.down);
      uint8_t& mask = seen[edge.to];
      if ((mask & (down ? 3 : 1)) != 0) continue;
      mask |= down ? 2 : 1;
      if (inside(edge.to) && uses_[edge.to].node != kNone) arrivals.insert(edge.to);
      work.push_back({edge.to, down});
    }
  }
  return arrivals;
}

Program::Reach Program::ReachableUnder(uint32_t root, const std::string& scope) const {
  Reach reach;
  reach.injected = scope == "S2";
  for (;;) {
    Walk(root, &reach);
    std::map<uint32_t, std::set<uint32_t>> arrivals;
    const size_t before = reach.blocked.size();
    for (uint32_t node : reach.order) {
      const Function& f = *nodes_[node].function;
      for (uint32_t c = 0; c < f.calls.size(); ++c) {
        for (const auto& target : targets_[node][c]) {
          if (target.origin != Origin::kValue || reach.blocked.count({node, c, target.node}) != 0) continue;
          const auto address = ids_.find("&" + Text(KeyOf(target.node)));
          const auto place = address != ids_.end() ? global_places_.find(address->second) : global_places_.end();
          if (place == global_places_.end()) continue;
          // Made inside: whatever it flows to is inside as well.
          const bool made_inside = std::all_of(edges_[place->second].begin(), edges_[place->second].end(), [&](const Edge& edge) {
            return owner_of_place_[edge.to] != kNone && reach.parent.count(owner_of_place_[edge.to]) != 0;
          });
          if (made_inside) continue;
          auto [found, fresh] = arrivals.try_emplace(place->second);
          if (fresh) found->second = ArrivalsUnder(root, reach, place->second);
          const Blocks& b = blocks_[node];
          bool arrives = found->second.count(b.targets + c) != 0;
          for (uint32_t a = 0; !arrives && a < f.calls[c].args.size(); ++a) arrives = found->second.count(b.arg_begin[c] + a) != 0;
          if (!arrives) reach.blocked.insert({node, c, target.node});
        }
      }
    }
    if (reach.blocked.size() == before) return reach;
  }
}

std::vector<ChainStep> Program::Chain(const Reach& reach, uint32_t node) const {
  std::vector<ChainStep> chain;
  for (uint32_t current = node;;) {
    const auto [parent, call] = reach.parent.at(current);
    if (parent == kNone) break;
    const Node& caller = nodes_[parent];
    chain.push_back({NameOf(parent), Place(caller.remap, caller.function->calls[call].site)});
    current = parent;
  }
  std::reverse(chain.begin(), chain.end());
  return chain;
}

}  // namespace lockstep::analyzer
