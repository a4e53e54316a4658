#include "replay/record/redact.h"

#include <fnmatch.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <temporal/api/common/v1/message.pb.h>
#include <temporal/api/history/v1/message.pb.h>

#include <algorithm>

#include "engine-core/base/sha256.h"
#include "engine-core/workflow/match.h"
#include "engine-core/workflow/payload.h"

namespace lockstep::replay {
namespace {

namespace pb = google::protobuf;
using temporal::api::common::v1::Payload;

bool Matches(const std::string& pattern, const std::string& text) {
  return ::fnmatch(pattern.c_str(), text.c_str(), FNM_CASEFOLD) == 0;
}

class Redactor {
 public:
  Redactor(const RedactRules& rules, const std::string& event_type) : rules_(rules) {
    for (const RedactRule& rule : rules.rules) {
      if (!Matches(rule.event, event_type)) continue;
      if (rule.key.empty())
        everything_ = true;
      else
        keys_.push_back(rule.key);
    }
  }

  bool idle() const { return !everything_ && keys_.empty(); }
  size_t replaced() const { return replaced_; }

  void Walk(pb::Message* message) {
    if (message->GetDescriptor()->full_name() == "temporal.api.common.v1.Payload")
      return RedactPayload(static_cast<Payload*>(message));
    const pb::Reflection* reflection = message->GetReflection();
    std::vector<const pb::FieldDescriptor*> fields;
    reflection->ListFields(*message, &fields);
    for (const pb::FieldDescriptor* field : fields) {
      if (field->cpp_type() != pb::FieldDescriptor::CPPTYPE_MESSAGE) continue;
      if (!field->is_repeated()) {
        Walk(reflection->MutableMessage(message, field));
        continue;
      }
      for (int i = 0; i < reflection->FieldSize(*message, field); ++i)
        Walk(reflection->MutableRepeatedMessage(message, field, i));
    }
  }

 private:
  std::string Replacement(const Json& value) const {
    return rules_.replacement + ":" + Sha256Hex(CanonicalJson(value)).substr(0, 8);
  }

  void Replace(Json* value) {
    if (value->is_object()) {
      for (auto& [key, member] : value->AsObject()) Replace(&member);
    } else if (value->is_array()) {
      for (Json& member : value->AsArray()) Replace(&member);
    } else if (!value->is_null()) {
      ++replaced_;
      *value = value->is_string() ? Json(Replacement(*value)) : value->is_bool() ? Json(false) : Json(0);
    }
  }

  void ReplaceTexts(Json* value) {
    if (value->is_object()) {
      for (auto& [key, member] : value->AsObject()) ReplaceTexts(&member);
    } else if (value->is_array()) {
      for (Json& member : value->AsArray()) ReplaceTexts(&member);
    } else if (value->is_string()) {
      Replace(value);
    }
  }

  void RedactJson(Json* value) {
    if (value->is_array()) {
      for (Json& member : value->AsArray()) RedactJson(&member);
    } else if (value->is_object()) {
      for (auto& [key, member] : value->AsObject()) {
        const bool named =
            std::any_of(keys_.begin(), keys_.end(), [&](const std::string& pattern) { return Matches(pattern, key); });
        if (named)
          Replace(&member);
        else
          RedactJson(&member);
      }
    }
  }

  void RedactPayload(Payload* payload) {
    auto json = workflow::ReadJson(*payload);
    if (!json) {
      if (!everything_) return;
      ++replaced_;
      payload->set_data(rules_.replacement + ":" + Sha256Hex(payload->data()).substr(0, 8));
      return;
    }
    const Json before = *json;
    if (everything_) ReplaceTexts(&*json);
    RedactJson(&*json);
    if (*json == before) return;
    const auto metadata = payload->metadata();
    workflow::SetJson(*json, payload);
    *payload->mutable_metadata() = metadata;
  }

  const RedactRules& rules_;
  bool everything_ = false;
  std::vector<std::string> keys_;
  size_t replaced_ = 0;
};

}  // namespace

Result<RedactRules> ParseRedactRules(const Json& json) {
  RedactRules rules;
  const auto bad = [](const std::string& place, const std::string& expected) {
    return Fail("REDACT_RULES_INVALID", place + ": expected " + expected);
  };
  const Json* list = json.is_array() ? &json : json.Find("rules");
  if (list == nullptr || !list->is_array() || list->AsArray().empty()) return bad("/rules", "a list of rules");
  for (size_t i = 0; i < list->AsArray().size(); ++i) {
    const Json& entry = list->AsArray()[i];
    const std::string place = "/rules/" + std::to_string(i);
    if (!entry.is_object()) return bad(place, "an object");
    RedactRule rule;
    for (const auto& [name, value] : entry.AsObject()) {
      if (name != "event" && name != "key") return bad(place + "/" + name, "event or key");
      if (!value.is_string() || value.AsString().empty()) return bad(place + "/" + name, "a pattern");
      (name == "event" ? rule.event : rule.key) = value.AsString();
    }
    rules.rules.push_back(std::move(rule));
  }
  if (const Json* word = json.Find("replacement"); word != nullptr) {
    if (!word->is_string()) return bad("/replacement", "a text");
    rules.replacement = word->AsString();
  }
  return rules;
}

size_t Redact(const RedactRules& rules, temporal::api::history::v1::History* history) {
  size_t replaced = 0;
  for (auto& event : *history->mutable_events()) {
    Redactor redactor(rules, workflow::EventTypeName(event.event_type()));
    if (redactor.idle()) continue;
    redactor.Walk(&event);
    replaced += redactor.replaced();
  }
  return replaced;
}

}  // namespace lockstep::replay
