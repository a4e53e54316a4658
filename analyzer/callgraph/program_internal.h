// The state of one link. Everything is an index: functions are nodes, strings are interned over all units, places of the value
// graph are numbered per function in blocks (parameters, result, out-parameters, call results, call arguments, ...).
#pragma once

#include <array>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "analyzer/callgraph/program.h"

namespace lockstep::analyzer {

inline constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();

class Program {
 public:
  Program(const std::vector<Unit>& units, const LinkOptions& options);
  LinkResult Evaluate();

 private:
  struct Node {
    const Unit* unit;
    const Function* function;
    uint32_t remap;
  };
  // How a call was resolved: by name, hierarchy or what a library function was seen to call; by where a function's address arrives; by
  // signature alone.
  enum class Origin : uint8_t { kNamed, kValue, kSignature };
  struct Target {
    uint32_t node;
    bool callable;  // called back by a library function
    Origin origin = Origin::kNamed;
  };
  struct ClassEntry {
    uint32_t name = 0;
    std::set<uint32_t> bases;
  };
  struct MethodEntry {
    uint32_t owner = 0;
  };
  struct Handler {
    uint32_t node;
    CallableRole role;
    uint32_t caller;
    uint32_t call;
    friend auto operator<=>(const Handler&, const Handler&) = default;
  };
  struct Gate {
    Location at;
    uint32_t function;
    uint32_t id;
    int64_t min;
    int64_t max;
    bool bounds_known;
  };
  struct Region {
    uint32_t file, line, column, end_line, macro;
    friend auto operator<=>(const Region&, const Region&) = default;
  };
  struct Trust {
    std::string function, reason;
    Location at;
    friend auto operator<=>(const Trust&, const Trust&) = default;
  };
  struct Reach {
    std::unordered_map<uint32_t, std::pair<uint32_t, uint32_t>> parent;  // node -> caller, call
    std::vector<uint32_t> order;                                         // breadth first
    bool injected = false;  // engine code: implementations of ports are the caller's
    std::set<std::tuple<uint32_t, uint32_t, uint32_t>> blocked;  // node, call, target: cannot happen under this root
  };

  // program.cpp
  uint32_t Intern(const std::string& text);
  const std::string& Text(uint32_t id) const { return *texts_[id]; }
  uint32_t Key(uint32_t node, uint32_t local) const { return remaps_[nodes_[node].remap][local]; }
  uint32_t KeyOf(uint32_t node) const { return Key(node, nodes_[node].function->key); }
  const std::string& NameOf(uint32_t node) const { return Text(Key(node, nodes_[node].function->name)); }
  Location Place(uint32_t remap, const Site& site) const;
  Location PlaceIn(uint32_t node, const Site& site) const { return Place(nodes_[node].remap, site); }
  void Merge(const Unit& unit);
  bool Derives(uint32_t derived, uint32_t base) const;
  bool IsWorkflowClass(uint32_t key) const;
  std::vector<uint32_t> Overriders(uint32_t method, uint32_t receiver) const;
  uint32_t OwnerOf(uint32_t method) const;
  uint32_t MarksOf(uint32_t key) const;
  CallRole RoleOf(uint32_t node, const Call& call) const;
  void CloseAliases();
  bool IsValueClass(uint32_t key) const;
  void AddTarget(uint32_t node, uint32_t call, uint32_t target, bool callable, Origin origin);
  void ResolveDirect();
  void ResolveIndirect();
  void ResolveBySignature();
  bool Enters(uint32_t node) const;
  void Closures();
  bool CallMay(const std::vector<bool>& closure, uint32_t node, uint32_t call) const;
  bool CallCommands(uint32_t node, uint32_t call) const;
  bool CallChanges(uint32_t node, uint32_t call) const;
  bool CallSuspends(uint32_t node, uint32_t call) const;
  bool CallRollsOver(uint32_t node, uint32_t call) const;
  void FindRoots();

  // reach.cpp
  bool Follows(const Reach& reach, uint32_t node, uint32_t call, const Target& target) const;
  void Walk(uint32_t root, Reach* reach) const;
  Reach ReachableFrom(uint32_t root) const;
  std::set<uint32_t> ArrivalsUnder(uint32_t root, const Reach& reach, uint32_t address) const;
  Reach ReachableUnder(uint32_t root, const std::string& scope) const;
  std::vector<ChainStep> Chain(const Reach& reach, uint32_t node) const;

  // flow.cpp
  enum class EdgeKind : uint8_t { kInside, kCall, kReturn, kHeap, kUnordered, kMember };
  struct Edge {
    uint32_t to;
    EdgeKind kind;
  };
  struct Use {  // what a place is, where that matters
    uint32_t node = kNone;
    uint32_t call = kNone;
    bool target = false;
    uint32_t argument = 0;
  };
  struct Blocks {
    uint32_t params, result, out_params, results, args, targets, outs, derived, hazards, branches;
    std::vector<uint32_t> arg_begin;
  };
  struct FlowResult {
    uint32_t sinks = 0;
    bool inert = false;
    bool escapes = false;
  };
  static constexpr uint32_t kReachInert = 1U << 16;
  static constexpr uint32_t kReachEscape = 1U << 17;
  void BuildFlow();
  void ConnectCalls();
  uint32_t GlobalPlace(uint32_t text);
  uint32_t PlaceOfLabel(uint32_t node, Label label);
  void AddEdge(uint32_t from, uint32_t to, EdgeKind kind);
  void Feed(uint32_t node, const LabelSet& labels, uint32_t to, EdgeKind kind = EdgeKind::kInside);
  std::vector<uint32_t> ReachFromFunction(uint32_t key);
  void Summaries(bool callables);
  void Reachable();
  FlowResult Follow(uint32_t start, bool order);
  std::vector<uint32_t> PathToSink(uint32_t start, bool order, uint32_t sinks);
  ChainStep SinkOf(uint32_t node, uint32_t hazard, uint32_t sinks);
  const FlowResult& FlowOf(uint32_t node, uint32_t hazard);
  void Taint();
  bool InputsTainted(uint32_t node, const Hazard& hazard);
  bool TaintedTextReachesName(uint32_t node, const LabelSet& inputs, const std::vector<uint32_t>& places, std::set<std::pair<uint32_t, uint32_t>>* seen);

  // program_rules.cpp
  struct Candidate {
    const char* rule;
    Site site;
    std::string what;
    Severity severity;
    Verdict verdict;
    const std::vector<Edit>* edits;
  };
  void Report(uint32_t root, const std::string& scope, const Reach& reach, uint32_t node, const std::string& rule, const Site& site,
              const std::string& what, Severity severity, Verdict verdict, const std::vector<Edit>* edits = nullptr);
  void Report(uint32_t root, const std::string& scope, const Reach& reach, uint32_t node, const std::string& rule, const Site& site,
              const std::string& what, const std::vector<Edit>* edits = nullptr);
  void HazardsOf(uint32_t root, const std::string& scope, const Reach& reach, uint32_t node);
  void CallsOf(uint32_t root, const std::string& scope, const Reach& reach, uint32_t node);
  bool WorksOff(uint32_t node, const Loop& loop) const;
  bool RolledOverAround(uint32_t root, const Reach& reach, uint32_t node) const;
  void ShapesOf(uint32_t root, const std::string& scope, const Reach& reach, uint32_t node);
  void ActivityOrder();
  void Handlers();
  void HandlerRules(const Handler& handler);
  void IndirectCalls();
  void Gates();
  void Regions();
  Skeleton SkeletonOf(uint32_t root) const;

  const LinkOptions& options_;
  std::unordered_map<std::string, uint32_t> ids_;
  std::vector<const std::string*> texts_;
  std::vector<std::vector<uint32_t>> remaps_;
  std::vector<Node> nodes_;
  std::unordered_map<uint32_t, uint32_t> by_key_;
  std::unordered_map<uint32_t, uint32_t> marks_;
  std::map<uint32_t, ClassEntry> classes_;
  std::map<uint32_t, MethodEntry> methods_;
  std::map<uint32_t, std::set<uint32_t>> overriders_;
  std::set<Region> regions_;
  std::set<Trust> trusted_;
  std::vector<Gate> gates_;
  std::vector<std::vector<std::vector<Target>>> targets_;
  std::set<Handler> handlers_;
  bool changed_ = false;
  std::vector<bool> may_command_, may_suspend_, may_rollover_;
  std::vector<std::pair<uint32_t, std::string>> roots_;
  std::vector<uint32_t> activities_;
  std::vector<Reach> reaches_;  // one per root

  std::vector<Blocks> blocks_;
  std::vector<std::vector<Edge>> edges_;
  std::vector<Use> uses_;
  std::vector<uint8_t> sink_bits_;      // per place
  std::vector<uint8_t> place_flags_;    // 1 inert sink, 2 escape
  std::vector<uint32_t> owner_of_place_;
  std::vector<bool> holds_;  // places through which a function can travel
  std::set<uint32_t> holders_;
  std::unordered_map<uint32_t, uint32_t> field_owner_;
  std::set<uint32_t> copied_;
  std::set<uint32_t> aliased_;
  std::set<uint32_t> text_storage_;
  std::vector<bool> text_places_;  // places that hold text
  std::unordered_map<uint32_t, uint32_t> global_places_;
  std::set<uint32_t> address_taken_;
  std::set<std::tuple<uint32_t, uint32_t, uint32_t>> connected_;
  std::map<std::pair<uint32_t, uint32_t>, FlowResult> flows_;
  std::map<std::pair<uint32_t, uint32_t>, ChainStep> ends_;
  std::vector<bool> live_;     // function reachable from any root
  std::vector<bool> tainted_;  // places that a hazard's value or other non-input data reaches
  bool summarised_ = false;
  std::unordered_set<uint64_t> summary_edges_;  // only probed
  struct Incoming {
    uint32_t node, call;
  };
  std::vector<std::vector<Incoming>> callers_;  // per function
  bool reached_ = false;
  // By kind of search and place: bits reached going up, going down. Any value; values whose order is in doubt; text.
  enum Search : uint8_t { kAnyValue, kOrderOnly, kTextOnly };
  std::vector<std::array<uint32_t, 2>> reach_masks_[3];

  std::vector<Finding> findings_;
  std::set<std::tuple<uint32_t, std::string, Location>> reported_;  // root, id, site
  std::map<uint32_t, bool> flagged_;                                // functions with an error of their own
};

}  // namespace lockstep::analyzer
