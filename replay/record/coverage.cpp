#include "replay/record/coverage.h"

#include <temporal/api/history/v1/message.pb.h>

#include <map>
#include <vector>

#include "engine-core/workflow/match.h"
#include "engine-core/workflow/slices.h"
#include "replay/history/pending.h"

namespace lockstep::replay {
namespace {

std::string Name(const workflow::HistoryEvent& event) {
  std::string name = workflow::EventTypeName(event.event_type());
  if (event.has_marker_recorded_event_attributes())
    name += " " + event.marker_recorded_event_attributes().marker_name();
  return name;
}

}  // namespace

std::set<std::string> TransitionsOf(const temporal::api::history::v1::History& history) {
  std::set<std::string> found;
  std::map<int64_t, std::string> lives;  // by the event of the command
  std::vector<const workflow::HistoryEvent*> events;
  for (const auto& event : history.events()) {
    events.push_back(&event);
    const int64_t opened = history::OpenedBy(event);
    const auto life = lives.find(opened);
    if (life != lives.end())
      life->second += ">" + Name(event);
    else if (workflow::IsCommandEvent(event))
      lives[event.event_id()] = Name(event);
  }
  for (const auto& [id, life] : lives) found.insert("life:" + life);
  for (const workflow::TaskSlice& task : workflow::CutHistory(events).tasks) {
    std::string before = "start";
    for (const auto* event : task.recorded) {
      const std::string name = Name(*event);
      found.insert("task:" + before + ">" + name);
      before = name;
    }
    found.insert("task:" + before + ">end");
    for (const auto* event : task.events) found.insert("to:" + Name(*event));
  }
  return found;
}

}  // namespace lockstep::replay
