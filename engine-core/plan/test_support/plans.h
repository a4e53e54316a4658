// Small helpers that several tests of this room share.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "engine-core/base/json.h"
#include "engine-core/base/sha256.h"
#include "engine-core/plan/loader.h"

namespace lockstep::plan {

inline Json J(std::string_view text) {
  auto json = ParseJson(text);
  EXPECT_TRUE(json.has_value()) << text << (json ? "" : json.error().message);
  return json ? *json : Json();
}

// A v1.2 plan around the text of `steps` and further members (`"params":{...},`).
inline std::string PlanText(std::string_view steps, std::string_view members = "", std::string_view metadata = "",
                            std::string_view version = "v1.2") {
  return "{\"metadata\":{\"planId\":\"p\",\"planVersion\":\"1\",\"schemaVersion\":\"" + std::string(version) + "\"" +
         std::string(metadata) + "}," + std::string(members) + "\"steps\":" + std::string(steps) + "}";
}

inline PlanRef RefFor(std::string_view bytes, std::string version = "v1.2") {
  PlanRef ref;
  ref.uri = "mem://plan";
  ref.sha256 = Sha256Hex(bytes);
  ref.schema_version = std::move(version);
  ref.plan_id = "p";
  ref.plan_version = "1";
  return ref;
}

inline VerifyContext Context() {
  VerifyContext context;
  context.target_adapter = "temporal";
  context.scope = {"acme", "dev", {}};
  context.allow_test_kinds = true;
  context.now = 1'770'854'400'000;
  return context;
}

inline Plan MustParse(std::string_view text) {
  auto parsed = ParsePlanDocument(text, /*allow_test_kinds=*/true);
  EXPECT_TRUE(parsed.has_value()) << text << "\n" << (parsed ? "" : parsed.error().ToString());
  return parsed ? std::move(parsed->plan) : Plan();
}

// `CODE issue path` of the first issue, or just the code.
inline std::string Outcome(std::string_view text) {
  const auto parsed = ParsePlanDocument(text, /*allow_test_kinds=*/true);
  if (parsed) return "ok";
  const Error& error = parsed.error();
  return error.issues.empty() ? error.code : error.code + " " + error.issues[0].code + " " + error.issues[0].path;
}

}  // namespace lockstep::plan
