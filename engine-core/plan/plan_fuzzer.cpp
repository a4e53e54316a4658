// Any bytes as a plan: the loader must answer, and what it accepts must survive the step table and the way down.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine-core/base/check.h"
#include "engine-core/plan/loader.h"
#include "engine-core/plan/schema_version.h"
#include "engine-core/plan/source_map.h"
#include "engine-core/plan/step_table.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lockstep;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto parsed = plan::ParsePlanDocument(text, true);
  if (!parsed) return 0;
  LOCKSTEP_CHECK(plan::SourceMap::Build(text).has_value());
  const auto table = plan::ParseStepTable(plan::StepTableJson(parsed->plan));
  LOCKSTEP_CHECK(table.has_value(), table ? "" : table.error().message);
  LOCKSTEP_CHECK(table->steps.size() == parsed->plan.steps().size());
  LOCKSTEP_CHECK(plan::Upgrade(parsed->document, plan::kCurrentSchema).document == parsed->document);
  for (const int minor : {1, 0}) {
    const auto down = plan::Downgrade(parsed->document, {1, minor}, "downgraded-by-fuzzer");
    if (down) LOCKSTEP_CHECK(plan::ParsePlanDocument(CanonicalJson(*down), true).has_value(), CanonicalJson(*down));
  }
  return 0;
}
