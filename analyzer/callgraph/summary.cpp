// The binary form of a summary. One `Fields` overload per structure serves both directions, so that writer and reader cannot
// drift apart; the format version below changes whenever a field is added, removed or moved.
#include "analyzer/callgraph/summary.h"

#include "analyzer/callgraph/binary.h"

namespace lockstep::analyzer {
namespace {

constexpr uint32_t kFormat = 0x4c535509;

using binary::All;
using binary::Field;
using binary::Reader;
using binary::Writer;

}  // namespace

template <class A> void Fields(A& a, LabelSet& v) { Field(a, v.raw()); }
template <class A> void Fields(A& a, Site& v) { All(a, v.file, v.line, v.column); }
template <class A> void Fields(A& a, Edit& v) { All(a, v.file, v.offset, v.length, v.text); }
template <class A> void Fields(A& a, Hazard& v) {
  All(a, v.rule, v.what, v.site, v.mode, v.severity, v.order, v.touched, v.result_order, v.sinks, v.unless_defined, v.inputs, v.edits);
}
template <class A> void Fields(A& a, Call& v) {
  All(a, v.site, v.kind, v.role, v.callable, v.awaited, v.suspends, v.rollover, v.spawns, v.holds_result, v.holds, v.texts, v.text_result, v.runs, v.port, v.asserted, v.implicit, v.callee, v.name, v.receiver,
      v.signature, v.literal, v.name_args, v.decide_args, v.target, v.args, v.through, v.order);
}
template <class A> void Fields(A& a, Flow& v) { All(a, v.port, v.index, v.labels); }
template <class A> void Fields(A& a, Branch& v) { All(a, v.site, v.inert, v.labels); }
template <class A> void Fields(A& a, Effect& v) { All(a, v.kind, v.what, v.site); }
template <class A> void Fields(A& a, Loop& v) { All(a, v.site, v.unbounded, v.calls, v.drivers); }
template <class A> void Fields(A& a, TryBlock& v) { All(a, v.site, v.suspends, v.calls, v.edits); }
template <class A> void Fields(A& a, Unsequenced& v) { All(a, v.site, v.operands); }
template <class A> void Fields(A& a, Function& v) {
  All(a, v.key, v.name, v.owner, v.signature, v.flags, v.params, v.holds, v.holds_result, v.texts, v.text_result, v.site, v.calls, v.hazards, v.outs, v.derived, v.flows,
      v.branches, v.effects, v.loops, v.tries, v.unsequenced);
}
template <class A> void Fields(A& a, Mark& v) { All(a, v.key, v.bits, v.reason, v.name, v.site); }
template <class A> void Fields(A& a, ClassInfo& v) { All(a, v.key, v.name, v.bases); }
template <class A> void Fields(A& a, VirtualMethod& v) { All(a, v.key, v.owner, v.overrides); }
template <class A> void Fields(A& a, ConditionalRegion& v) { All(a, v.site, v.end_line, v.macro); }
template <class A> void Fields(A& a, ChangeGate& v) {
  All(a, v.site, v.function, v.id, v.min, v.max, v.bounds_known);
}
template <class A> void Fields(A& a, Unit& v) {
  All(a, v.main_file, v.error, v.budget_exhausted, v.notes, v.strings, v.functions, v.marks, v.classes, v.methods, v.regions,
      v.gates, v.fields, v.copied, v.aliased, v.texts, v.holders, v.dependencies);
}

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
