// The binary form of a summary. One `Fields` overload per structure serves both directions, so that writer and reader cannot
// drift apart; the format version below changes whenever a field is added, removed or moved.
#include "analyzer/callgraph/summary.h"

#include <cstring>
#include <type_traits>

namespace lockstep::analyzer {
namespace {

constexpr uint32_t kFormat = 0x4c535505;

class Writer {
 public:
  static constexpr bool kReading = false;
  void Number(uint64_t value) {
    while (value >= 0x80) {
      out_.push_back(static_cast<char>(value | 0x80));
      value >>= 7;
    }
    out_.push_back(static_cast<char>(value));
  }
  void Text(const std::string& text) {
    Number(text.size());
    out_.append(text);
  }
  std::string Take() { return std::move(out_); }

 private:
  std::string out_;
};

class Reader {
 public:
  static constexpr bool kReading = true;
  explicit Reader(const std::string& bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}
  uint64_t Number() {
    uint64_t value = 0;
    for (int shift = 0; at_ < end_ && shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(*at_++);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    failed_ = true;
    return 0;
  }
  std::string Text() {
    const uint64_t size = Number();
    if (size > static_cast<uint64_t>(end_ - at_)) {
      failed_ = true;
      return {};
    }
    std::string text(at_, size);
    at_ += size;
    return text;
  }
  // Every element takes at least one byte, so a length beyond what is left is corrupt.
  uint64_t Length() {
    const uint64_t size = Number();
    if (size > static_cast<uint64_t>(end_ - at_)) {
      failed_ = true;
      return 0;
    }
    return size;
  }
  bool Finished() const { return !failed_ && at_ == end_; }
  bool failed() const { return failed_; }

 private:
  const char* at_;
  const char* end_;
  bool failed_ = false;
};

template <class A, class T>
void Field(A& a, T& value);
template <class A, class... T>
void All(A& a, T&... values) {
  (Field(a, values), ...);
}

template <class A> void Fields(A& a, LabelSet& v) { Field(a, v.raw()); }
template <class A> void Fields(A& a, Site& v) { All(a, v.file, v.line, v.column); }
template <class A> void Fields(A& a, Edit& v) { All(a, v.file, v.offset, v.length, v.text); }
template <class A> void Fields(A& a, Hazard& v) {
  All(a, v.rule, v.what, v.site, v.mode, v.severity, v.order, v.touched, v.result_order, v.sinks, v.inputs, v.edits);
}
template <class A> void Fields(A& a, Call& v) {
  All(a, v.site, v.kind, v.role, v.callable, v.awaited, v.suspends, v.rollover, v.holds_result, v.holds, v.implicit, v.callee, v.name, v.receiver,
      v.signature, v.literal, v.name_args, v.target, v.args, v.through, v.order);
}
template <class A> void Fields(A& a, Flow& v) { All(a, v.port, v.index, v.labels); }
template <class A> void Fields(A& a, Branch& v) { All(a, v.site, v.labels); }
template <class A> void Fields(A& a, Effect& v) { All(a, v.kind, v.what, v.site); }
template <class A> void Fields(A& a, Loop& v) { All(a, v.site, v.unbounded, v.calls); }
template <class A> void Fields(A& a, TryBlock& v) { All(a, v.site, v.suspends, v.calls, v.edits); }
template <class A> void Fields(A& a, Unsequenced& v) { All(a, v.site, v.operands); }
template <class A> void Fields(A& a, Function& v) {
  All(a, v.key, v.name, v.owner, v.signature, v.flags, v.params, v.holds, v.holds_result, v.site, v.calls, v.hazards, v.outs, v.derived, v.flows,
      v.branches, v.effects, v.loops, v.tries, v.unsequenced);
}
template <class A> void Fields(A& a, Mark& v) { All(a, v.key, v.bits, v.reason, v.name, v.site); }
template <class A> void Fields(A& a, ClassInfo& v) { All(a, v.key, v.name, v.bases); }
template <class A> void Fields(A& a, VirtualMethod& v) { All(a, v.key, v.owner, v.overrides); }
template <class A> void Fields(A& a, ConditionalRegion& v) { All(a, v.site, v.end_line, v.macro); }
template <class A> void Fields(A& a, ChangeGate& v) {
  All(a, v.site, v.function, v.id, v.min, v.max, v.bounds_known);
}
template <class A> void Fields(A& a, Dependency& v) { All(a, v.path, v.stamp, v.system); }
template <class A> void Fields(A& a, std::pair<uint32_t, uint32_t>& v) { All(a, v.first, v.second); }
template <class A> void Fields(A& a, Unit& v) {
  All(a, v.main_file, v.error, v.budget_exhausted, v.notes, v.strings, v.functions, v.marks, v.classes, v.methods, v.regions,
      v.gates, v.fields, v.copied, v.holders, v.dependencies);
}

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};

template <class A, class T>
void Field(A& a, T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    if constexpr (A::kReading) value = a.Text();
    else a.Text(value);
  } else if constexpr (std::is_enum_v<T> || std::is_integral_v<T>) {
    if constexpr (A::kReading) value = static_cast<T>(a.Number());
    else a.Number(static_cast<uint64_t>(value));
  } else if constexpr (IsVector<T>::value) {
    if constexpr (A::kReading) value.resize(a.Length());
    else a.Number(value.size());
    for (auto& element : value) {
      if constexpr (A::kReading) {
        if (a.failed()) return;
      }
      Field(a, element);
    }
  } else {
    Fields(a, value);
  }
}

}  // namespace

std::string EncodeUnit(const Unit& unit) {
  Writer writer;
  writer.Number(kFormat);
  Fields(writer, const_cast<Unit&>(unit));  // The writer only reads.
  return writer.Take();
}

bool DecodeUnit(const std::string& bytes, Unit* unit) {
  Reader reader(bytes);
  if (reader.Number() != kFormat) return false;
  *unit = Unit();
  Fields(reader, *unit);
  return reader.Finished();
}

}  // namespace lockstep::analyzer
