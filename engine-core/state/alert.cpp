#include "engine-core/state/alert.h"

#include <array>
#include <utility>

#include "engine-core/state/event.h"

namespace lockstep::state {

Json ToJson(const Alert& alert) {
  using Field = std::pair<std::string_view, const std::string*>;
  const std::array<Field, 11> fields = {{{"code", &alert.code},
                                         {"runId", &alert.run_id},
                                         {"tenantId", &alert.tenant_id},
                                         {"projectId", &alert.project_id},
                                         {"environmentId", &alert.environment_id},
                                         {"eventId", &alert.event_id},
                                         {"eventType", &alert.event_type},
                                         {"persistedAt", &alert.persisted_at},
                                         {"priorState", &alert.prior_state},
                                         {"attemptedState", &alert.attempted_state},
                                         {"detail", &alert.detail}}};
  Json json = Json::MakeObject({{"severity", "P" + std::to_string(static_cast<int>(alert.severity))}});
  for (const auto& [name, text] : fields) {
    if (!text->empty()) json.Set(name, *text);
  }
  if (alert.run_seq != 0) json.Set("runSeq", alert.run_seq);
  return json;
}

Alert AlertAbout(std::string_view code, Severity severity, const EventRecord& record) {
  Alert alert;
  alert.code = code;
  alert.severity = severity;
  alert.run_id = record.run_id;
  alert.tenant_id = record.tenant_id;
  alert.project_id = record.project_id;
  alert.environment_id = record.environment_id;
  alert.event_id = record.event_id;
  alert.event_type = record.event_type;
  alert.run_seq = record.run_seq;
  alert.persisted_at = record.persisted_at;
  return alert;
}

}  // namespace lockstep::state
