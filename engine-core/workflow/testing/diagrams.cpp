#include "engine-core/workflow/testing/diagrams.h"

#include <temporal/api/enums/v1/command_type.pb.h>

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <vector>

#include "engine-core/workflow/machines.h"
#include "engine-core/workflow/match.h"

namespace lockstep::workflow::testing {
namespace {

// `RequestCancelActivityTask`
std::string CommandName(int type) {
  std::string text;
  bool upper = true;
  const std::string name = temporal::api::enums::v1::CommandType_Name(static_cast<temporal::api::enums::v1::CommandType>(type));
  for (const char c : std::string_view(name).substr(std::string_view("COMMAND_TYPE_").size())) {
    if (c == '_') {
      upper = true;
    } else {
      text.push_back(upper || c < 'A' || c > 'Z' ? c : static_cast<char>(c - 'A' + 'a'));
      upper = false;
    }
  }
  return text;
}

std::string Id(MachineState state) {
  std::string id(MachineStateName(state));
  std::replace(id.begin(), id.end(), ' ', '_');
  return id;
}

std::string Label(const Transition& row) {
  std::string label(MachineInputName(row.on));
  if (row.only != CancelMode::kAny) label += " (" + std::string(CancelModeName(row.only)) + ")";
  return label;
}

// Arrows between the same two states are one arrow with several inputs.
std::string Diagram(std::span<const Transition> table) {
  std::vector<std::pair<std::string, std::vector<std::string>>> arrows;
  for (const Transition& row : table) {
    const std::string arrow = Id(row.from) + " --> " + Id(row.to);
    auto it = std::find_if(arrows.begin(), arrows.end(), [&](const auto& entry) { return entry.first == arrow; });
    if (it == arrows.end()) it = arrows.insert(arrows.end(), {arrow, {}});
    it->second.push_back(Label(row));
  }
  std::string text = "```mermaid\nstateDiagram-v2\n  [*] --> created\n";
  for (const auto& [arrow, labels] : arrows) {
    text += "  " + arrow + ": ";
    for (size_t i = 0; i < labels.size(); ++i) text += (i > 0 ? "<br/>" : "") + labels[i];
    text += "\n";
  }
  return text + "  closed --> [*]\n```\n";
}

std::string Table(std::span<const Transition> table) {
  std::string text = "| State | Input | Only when | Next | Effects |\n|---|---|---|---|---|\n";
  for (const Transition& row : table) {
    text += "| " + std::string(MachineStateName(row.from)) + " | " + std::string(MachineInputName(row.on)) + " | " +
            (row.only == CancelMode::kAny ? "" : std::string(CancelModeName(row.only))) + " | " + std::string(MachineStateName(row.to)) +
            " | " + EffectNames(row.effects) + " |\n";
  }
  return text;
}

std::string Heading(const std::vector<const CommandKindSpec*>& kinds) {
  std::string text;
  for (const CommandKindSpec* spec : kinds) text += (text.empty() ? "" : ", ") + std::string(spec->name);
  return text;
}

}  // namespace

std::string MachinesPage() {
  std::string text =
      "# The command machines\n\n"
      "Each kind of command is a table (engine-core/workflow/machines.cpp): in this state, on this input, go there and do that. This\n"
      "page is made from the tables by `machine_diagrams`; a test fails when it is not current. How they are used: [runtime.md](runtime.md).\n\n"
      "| Kind | Command | Recorded as | Second command | Recorded as |\n|---|---|---|---|---|\n";
  for (const CommandKindSpec& spec : AllCommandKinds()) {
    text += "| " + std::string(spec.name) + " | " + CommandName(spec.command_type) + " | " + EventTypeName(spec.recorded_event_type) + " | " +
            (spec.second_command_type == 0 ? "" : CommandName(spec.second_command_type)) + " | " +
            (spec.second_recorded_event_type == 0 ? "" : EventTypeName(spec.second_recorded_event_type)) + " |\n";
  }
  // Kinds that share a table share a section.
  std::vector<std::pair<const Transition*, std::vector<const CommandKindSpec*>>> sections;
  for (const CommandKindSpec& spec : AllCommandKinds()) {
    auto it = std::find_if(sections.begin(), sections.end(), [&](const auto& section) { return section.first == spec.table.data(); });
    if (it == sections.end()) it = sections.insert(sections.end(), {spec.table.data(), {}});
    it->second.push_back(&spec);
  }
  for (const auto& [table, kinds] : sections) {
    text += "\n## " + Heading(kinds) + "\n\n" + Diagram(kinds.front()->table) + "\n" + Table(kinds.front()->table);
  }
  text += "\n## Which event goes to which machine\n\n| Event | Machine | Input |\n|---|---|---|\n";
  for (const EventRoute& route : AllEventRoutes()) {
    text += "| " + EventTypeName(route.event_type) + " | " + std::string(SpecOf(route.kind).name) + " | " +
            std::string(MachineInputName(route.input)) + " |\n";
  }
  return text;
}

}  // namespace lockstep::workflow::testing
