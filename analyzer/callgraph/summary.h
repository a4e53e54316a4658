// What one translation unit contributes to the whole-program analysis (spec 07 section 4.1, AN2): functions with their
// calls, local hazards and value-flow facts, classes, overrides and marks. Nothing in here points into an AST, so a summary
// outlives its compiler instance, travels through the cache and is merged by the link step (`program.h`).
//
// Invariant: a summary is a pure function of (source bytes, compile command, models); no clock, address or iteration order of
// a hash table leaves a trace in it. Strings are interned per unit; index 0 is the empty string.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace lockstep::analyzer {

// Where a value may come from, relative to one function. Values are sets of labels.
enum class LabelKind : uint32_t {
  kParam = 1,  // 0 is the object, parameter i is i + 1
  kHazard,     // index into Function::hazards
  kResult,     // index into Function::calls: what the call returned
  kOut,        // index into Function::outs: what the call wrote through an argument
  kField,      // string: a data member, merged over all objects
  kGlobal,     // string: static storage, or a variable shared with a lambda
  kFunction,   // string: the address of a function or a lambda
  kDerived,    // index into Function::derived: the value of other labels without their order
};
using Label = uint32_t;
constexpr Label MakeLabel(LabelKind kind, uint32_t index) { return static_cast<uint32_t>(kind) << 28 | index; }
constexpr LabelKind KindOf(Label label) { return static_cast<LabelKind>(label >> 28); }
constexpr uint32_t IndexOf(Label label) { return label & 0x0fffffff; }

// A sorted set of labels.
class LabelSet {
 public:
  LabelSet() = default;
  explicit LabelSet(Label label) : labels_{label} {}
  bool Add(Label label) {
    auto it = std::lower_bound(labels_.begin(), labels_.end(), label);
    if (it != labels_.end() && *it == label) return false;
    labels_.insert(it, label);
    return true;
  }
  bool Join(const LabelSet& other) {
    if (other.labels_.empty()) return false;
    if (labels_.empty()) {
      labels_ = other.labels_;
      return true;
    }
    const size_t before = labels_.size();
    std::vector<Label> merged;
    merged.reserve(before + other.labels_.size());
    std::set_union(labels_.begin(), labels_.end(), other.labels_.begin(), other.labels_.end(), std::back_inserter(merged));
    labels_ = std::move(merged);
    return labels_.size() != before;
  }
  bool Has(Label label) const { return std::binary_search(labels_.begin(), labels_.end(), label); }
  void Remove(Label label) { std::erase(labels_, label); }
  bool empty() const { return labels_.empty(); }
  auto begin() const { return labels_.begin(); }
  auto end() const { return labels_.end(); }
  size_t size() const { return labels_.size(); }
  std::vector<Label>& raw() { return labels_; }
  const std::vector<Label>& raw() const { return labels_; }
  friend bool operator==(const LabelSet&, const LabelSet&) = default;

 private:
  std::vector<Label> labels_;
};

struct Site {
  uint32_t file = 0;  // string: path
  uint32_t line = 0;
  uint32_t column = 0;
  friend bool operator==(const Site&, const Site&) = default;
};

// A textual replacement that goes with a finding. Offsets are bytes in the file as it was read.
struct Edit {
  uint32_t file = 0;
  uint32_t offset = 0;
  uint32_t length = 0;
  uint32_t text = 0;
};

enum class HazardMode : uint8_t {
  kEffect,  // reported when reachable
  kValue,   // reported when reachable, unless the value provably ends in a log or metric
  kTaint,   // reported only when the value reaches a sink
  kOrder,   // a warning when something depends on the order, the rule's severity when that reaches a sink
};

struct Hazard {
  uint32_t rule = 0;  // string: id
  uint32_t what = 0;  // string: the offending thing, as the message names it
  Site site;
  HazardMode mode = HazardMode::kEffect;
  uint8_t severity = 0;      // 0: as the rule says; otherwise Severity + 1
  bool order = false;        // cleaned by sorting
  bool touched = false;      // kOrder: something order-sensitive was seen
  bool result_order = false; // also checked in activities (scope S3)
  uint32_t sinks = 0xff;     // SinkBit mask that counts
  uint32_t unless_defined = 0;  // string: key of the function that was taken for a library's; its body, if there is one, decides
  LabelSet inputs;           // what went in, for rules that ask where a value comes from
  std::vector<Edit> edits;
};

enum SinkBit : uint32_t {
  kSinkBranch = 1,
  kSinkCommand = 2,   // decides which command, or a field that replay compares
  kSinkPayload = 4,   // data of a command
  kSinkPersist = 8,   // result of the workflow, stored state
  kSinkHash = 16,
  kSinkCompare = 32,
  kSinkActivityResult = 64,
  kSinkName = 128,    // names a command: activity type, queue, change id
};

// The storage that stands for members of option structures which name a command.
inline constexpr const char* kNameSink = "sink:name";

enum class CallKind : uint8_t { kDirect, kVirtual, kIndirect };
enum class CallRole : uint8_t {
  kPlain,    // a function of the program
  kLibrary,  // modelled or standard: not entered, but it calls the callables it is given
  kCut,      // runs elsewhere: neither entered nor are its callables
  kInert,    // silenced in replay (log, metrics)
  kCommand,  // issues a command
  kHash,
  kOpaque,   // no body in sight and no model
};
enum class CallableRole : uint8_t { kNone, kQuery, kSignal, kUpdate, kPredicate, kSideEffect };

struct Call {
  Site site;
  CallKind kind = CallKind::kDirect;
  CallRole role = CallRole::kPlain;
  CallableRole callable = CallableRole::kNone;
  bool awaited = false;
  bool suspends = false;   // a wait of the workflow API
  bool rollover = false;   // asks for or performs continue-as-new
  bool spawns = false;     // runs the tasks that it is given beside the caller
  bool holds_result = false;  // the result can hold a callable
  uint64_t holds = 0;         // bit i: args[i] can hold a callable
  uint64_t texts = 0;         // bit i: args[i] is text
  bool text_result = false;
  uint64_t runs = 0;          // bit i: args[i] is itself something to call
  bool port = false;          // goes through an interface that engine code is given from outside, such as a clock
  bool asserted = false;      // stands inside assert(): gone in other builds
  bool implicit = false;   // destructor, conversion: not written by the author
  uint32_t callee = 0;     // string: key of the function called
  uint32_t name = 0;       // string: its qualified name
  uint32_t receiver = 0;   // string: key of the static class of the object, for virtual calls
  uint32_t signature = 0;  // string: canonical type, for indirect calls
  uint32_t literal = 0;    // string: the name a command call was given, when literal
  uint32_t name_args = 0;    // bit i: argument i names the command
  uint32_t decide_args = 0;  // bit i: replay compares argument i, such as a duration
  LabelSet target;         // what is called, for indirect calls
  std::vector<LabelSet> args;        // [0] is the object
  std::vector<uint32_t> through;     // strings: functions of the program that library code calls back
  std::vector<uint32_t> order;       // hazards whose order decides when this call runs
};

enum class Port : uint8_t { kReturn, kOutParam, kField, kGlobal };
struct Flow {
  Port port = Port::kReturn;
  uint32_t index = 0;  // kOutParam: parameter; kField, kGlobal: string
  LabelSet labels;
};

struct Branch {
  Site site;
  bool inert = false;  // neither way does anything but write to the log
  LabelSet labels;
};

enum class EffectKind : uint8_t { kWriteField, kWriteGlobal, kWriteCapture, kSuspend, kReadGlobal };
struct Effect {
  EffectKind kind = EffectKind::kWriteField;
  uint32_t what = 0;
  Site site;
};

struct Loop {
  Site site;
  bool unbounded = false;
  std::vector<uint32_t> calls;
  std::vector<uint32_t> drivers;  // calls of the condition
};

// A handler that can swallow a cancellation, with the calls of its try block.
struct TryBlock {
  Site site;
  bool suspends = false;
  std::vector<uint32_t> calls;
  std::vector<Edit> edits;
};

// Operands whose order of evaluation is unspecified.
struct Unsequenced {
  Site site;
  std::vector<std::vector<uint32_t>> operands;
};

enum FunctionFlag : uint32_t {
  kDestructor = 1,
  kNoexcept = 2,
  kCoroutine = 4,
  kLambda = 8,
  kConstructor = 16,
  kSystemCode = 32,
  kInitializer = 64,
  kPrivate = 128,
  kReturnsStatic = 256,  // hands out mutable static storage
};

struct Function {
  uint32_t key = 0;    // string: stable identity over units
  uint32_t name = 0;   // string: qualified, for people
  uint32_t owner = 0;  // string: key of the class
  uint32_t signature = 0;
  uint32_t flags = 0;
  uint32_t params = 0;
  uint64_t holds = 0;         // bit 0: the object, bit i + 1: parameter i can hold a callable
  bool holds_result = false;
  uint64_t texts = 0;         // the same for text
  bool text_result = false;
  Site site;
  std::vector<Call> calls;
  std::vector<Hazard> hazards;
  std::vector<std::pair<uint32_t, uint32_t>> outs;  // call, argument
  std::vector<LabelSet> derived;
  std::vector<Flow> flows;
  std::vector<Branch> branches;
  std::vector<Effect> effects;
  std::vector<Loop> loops;
  std::vector<TryBlock> tries;
  std::vector<Unsequenced> unsequenced;
};

enum MarkBit : uint32_t {
  kMarkWorkflow = 1,
  kMarkActivity = 2,
  kMarkDeterministic = 4,
  kMarkTrusted = 8,
  kMarkQuery = 16,
  kMarkSignal = 32,
  kMarkUpdate = 64,
  // The mark stands on the class: its members are roots only where no other root reaches them.
  kMarkWorkflowClass = 128,
  kMarkDeterministicClass = 256,
};
struct Mark {
  uint32_t key = 0;
  uint32_t bits = 0;
  uint32_t reason = 0;
  uint32_t name = 0;
  Site site;
};

struct ClassInfo {
  uint32_t key = 0;
  uint32_t name = 0;
  std::vector<uint32_t> bases;
};

struct VirtualMethod {
  uint32_t key = 0;
  uint32_t owner = 0;
  std::vector<uint32_t> overrides;
};

// Lines that exist only under some builds: `#if` on platform or build macros.
struct ConditionalRegion {
  Site site;
  uint32_t end_line = 0;
  uint32_t macro = 0;
};

// A get_version call, for the registry check.
struct ChangeGate {
  Site site;
  uint32_t function = 0;  // string: key
  uint32_t id = 0;        // string; 0 when not literal
  int64_t min = 0;
  int64_t max = 0;
  bool bounds_known = false;
};

struct Dependency {
  std::string path;
  std::string stamp;  // digest of the content; for system headers size and modification time
  bool system = false;
  template <class A>
  friend void Fields(A& a, Dependency& v) {
    All(a, v.path, v.stamp, v.system);  // binary.h
  }
};

struct Unit {
  std::string main_file;
  std::string error;  // Clang's own first message when the file does not compile
  bool budget_exhausted = false;
  bool late = false;  // given up by the clock: not to be kept
  std::vector<std::string> notes;
  std::vector<std::string> strings;
  std::vector<Function> functions;
  std::vector<Mark> marks;
  std::vector<ClassInfo> classes;
  std::vector<VirtualMethod> methods;
  std::vector<ConditionalRegion> regions;
  std::vector<ChangeGate> gates;
  std::vector<std::pair<uint32_t, uint32_t>> fields;  // strings: field, its class
  std::vector<uint32_t> copied;   // strings: classes whose objects are copied or moved, that is values
  std::vector<uint32_t> aliased;  // strings: classes whose objects are reached through several names
  std::vector<uint32_t> texts;    // strings: fields and globals that hold text
  std::vector<uint32_t> holders;  // strings: fields and globals whose type can hold a callable
  std::vector<Dependency> dependencies;
};

// Binary form for the cache. Decode returns false on anything that is not exactly what Encode wrote.
std::string EncodeUnit(const Unit& unit);
bool DecodeUnit(const std::string& bytes, Unit* unit);

}  // namespace lockstep::analyzer
