// A workflow that a perturbation must expose, and one that does the same correctly.
#pragma once

#include <algorithm>
#include <string>
#include <unordered_set>
#include <vector>

#include "engine-core/workflow/registry.h"
#include "engine-core/workflow/wf.h"

namespace lockstep::replay::testing {

// Schedules an activity for each word, in the order of a hash container or of the words.
inline wf::Task<wf::WorkflowResult> Words(bool sorted) {
  std::unordered_set<std::string> words;
  for (int i = 0; i < 12; ++i) words.insert("word-" + std::to_string(i * 37));
  std::vector<std::string> order(words.begin(), words.end());
  if (sorted) std::sort(order.begin(), order.end());
  std::vector<wf::Future<wf::ActivityOutcome>> running;
  for (const std::string& word : order) {
    running.push_back(
        wf::execute_activity("count", workflow::Payloads(), {.activity_id = word, .start_to_close_ms = 1'000}));
  }
  for (auto& future : running) co_await future;
  co_return wf::completed(Json(static_cast<int64_t>(running.size())));
}

inline void RegisterPlanted(workflow::WorkflowRegistry* registry) {
  registry->Register("hashed", [](const workflow::Payloads&) { return Words(false); });
  registry->Register("sorted", [](const workflow::Payloads&) { return Words(true); });
}

}  // namespace lockstep::replay::testing
