#include "engine-core/workflow/payload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <temporal/api/common/v1/message.pb.h>
#include <temporal/api/failure/v1/message.pb.h>

namespace lockstep::workflow {
namespace {

using temporal::api::failure::v1::Failure;
using ::testing::HasSubstr;
namespace enums = temporal::api::enums::v1;

Payload Raw(const std::string& encoding, const std::string& data) {
  Payload payload;
  (*payload.mutable_metadata())["encoding"] = encoding;
  payload.set_data(data);
  return payload;
}

TEST(Payload, Json_IsCanonicalTextWithItsEncoding) {
  Payload payload;
  SetJson(Json::MakeObject({{"b", 1}, {"a", "x"}}), &payload);
  EXPECT_EQ(payload.metadata().at("encoding"), "json/plain");
  EXPECT_EQ(payload.data(), "{\"a\":\"x\",\"b\":1}");
  SetJson(Json(), &payload);
  EXPECT_EQ(payload.metadata().at("encoding"), "binary/null");
  EXPECT_EQ(payload.data(), "");
}

TEST(ReadJson, ReadsThePlainEncodings) {
  EXPECT_EQ(ReadJson(Raw("json/plain", "[1, 2]"))->AsArray().size(), 2u);
  EXPECT_TRUE(ReadJson(Raw("binary/null", ""))->is_null());
  EXPECT_EQ(ReadJson(Raw("json/protobuf", "{\"x\":1}"))->GetInt("x"), 1);
}

TEST(ReadJson, AnythingElse_IsUnreadable_AndNamesTheEncoding) {
  for (const auto& [encoding, data] : {std::pair("binary/encrypted", "?"), std::pair("binary/plain", "x"), std::pair("", "1")}) {
    const auto json = ReadJson(Raw(encoding, data));
    ASSERT_FALSE(json);
    EXPECT_EQ(json.error().code, "PAYLOAD_UNREADABLE");
    EXPECT_THAT(json.error().message, HasSubstr(*encoding ? encoding : "none"));
  }
  EXPECT_EQ(ReadJson(Raw("json/plain", "{")).error().code, "PAYLOAD_UNREADABLE");
  EXPECT_EQ(ReadJson(Payload()).error().code, "PAYLOAD_UNREADABLE");
}

TEST(ReadJson, Lists_StopAtTheFirstUnreadable) {
  Payloads payloads = JsonPayloads(1);
  EXPECT_EQ(ReadJson(payloads)->size(), 1u);
  *payloads.add_payloads() = Raw("x/y", "");
  EXPECT_FALSE(ReadJson(payloads));
  EXPECT_TRUE(ReadFirstJson(Payloads())->is_null());
  EXPECT_EQ(ReadFirstJson(payloads)->AsInt(), 1);
}

TEST(SamePayload, EqualJsonInAnotherSpelling_IsTheSame) {
  EXPECT_TRUE(SamePayload(Raw("json/plain", "{\"a\":1,\"b\":[2]}"), Raw("json/plain", "{ \"b\" : [2], \"a\" : 1 }")));
  EXPECT_FALSE(SamePayload(Raw("json/plain", "{\"a\":1}"), Raw("json/plain", "{\"a\":2}")));
  EXPECT_FALSE(SamePayload(Raw("json/plain", "[1,2]"), Raw("json/plain", "[2,1]")));
  EXPECT_FALSE(SamePayload(Raw("json/plain", "1"), Raw("json/protobuf", "1")));
  EXPECT_FALSE(SamePayload(Raw("binary/plain", "{}"), Raw("binary/plain", "{ }")));
  EXPECT_TRUE(SamePayload(Raw("binary/plain", "\xff"), Raw("binary/plain", "\xff")));
  EXPECT_FALSE(SamePayload(Raw("json/plain", "{"), Raw("json/plain", "[")));
}

TEST(SamePayload, Metadata_Counts) {
  Payload a = Raw("json/plain", "1"), b = a;
  (*b.mutable_metadata())["type"] = "Keyword";
  EXPECT_FALSE(SamePayload(a, b));
}

TEST(SamePayloads, Count_Counts) {
  Payloads two = JsonPayloads(1);
  AddJson(2, &two);
  EXPECT_FALSE(SamePayloads(two, JsonPayloads(1)));
  EXPECT_TRUE(SamePayloads(two, two));
  EXPECT_TRUE(SamePayloads(Payloads(), Payloads()));
}

TEST(Describe, ShowsJson_AndDigestsOfWhatIsLongOrBinary) {
  Payloads payloads = JsonPayloads(Json::MakeObject({{"a", 1}}));
  AddJson(Json(), &payloads);
  EXPECT_EQ(Describe(payloads), "[{\"a\":1},null]");
  Payloads binary;
  *binary.add_payloads() = Raw("binary/plain", "abc");
  EXPECT_EQ(Describe(binary), "[<binary/plain 3 bytes sha256 ba7816bf8f01>]");
  const std::string text = Describe(JsonPayloads(std::string(1'000, 'x')));
  EXPECT_LT(text.size(), 300u);
  EXPECT_THAT(text, HasSubstr("(1004 bytes, sha256 "));
}

// --- failures ------------------------------------------------------------------------------------------------------------

TEST(ErrorToFailure, ReadsBackWhole) {
  Error error("STEP_SCHEMA_INVALID", "2 issues", true);
  error.details = {{"plan", "sales"}, {"count", "2"}};
  error.issues = {{"steps[0]", "X", "bad"}, {"$", "Y", "worse"}};
  Failure failure;
  ErrorToFailure(error, &failure);
  EXPECT_EQ(failure.application_failure_info().type(), "STEP_SCHEMA_INVALID");
  EXPECT_FALSE(failure.application_failure_info().non_retryable());
  const Error back = FailureToError(failure);
  EXPECT_EQ(back.code, error.code);
  EXPECT_EQ(back.message, error.message);
  EXPECT_EQ(back.retryable, true);
  EXPECT_EQ(back.issues, error.issues);
  EXPECT_EQ(back.Detail("plan"), "sales");
  EXPECT_EQ(back.Detail("count"), "2");
}

TEST(ErrorToFailure, PermanentError_IsNonRetryable) {
  Failure failure;
  ErrorToFailure(Error("PERMANENT_STEP_ERROR", "no"), &failure);
  EXPECT_TRUE(failure.application_failure_info().non_retryable());
  EXPECT_FALSE(failure.application_failure_info().has_details());
}

TEST(ErrorToFailure, Cancelled_IsACancellation) {
  Failure failure;
  ErrorToFailure(Error("CANCELLED", "stopped"), &failure);
  EXPECT_TRUE(failure.has_canceled_failure_info());
  EXPECT_EQ(FailureToError(failure).code, "CANCELLED");
  EXPECT_EQ(FailureToError(failure).message, "stopped");
}

TEST(FailureToError, Timeouts_AreStepTimeout_ButNobodyThereIsWorkerUnavailable) {
  struct Case {
    enums::TimeoutType type;
    const char* code;
    const char* name;
  };
  for (const Case& c : {Case{enums::TIMEOUT_TYPE_START_TO_CLOSE, "STEP_TIMEOUT", "start-to-close"},
                        Case{enums::TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, "STEP_TIMEOUT", "schedule-to-close"},
                        Case{enums::TIMEOUT_TYPE_HEARTBEAT, "STEP_TIMEOUT", "heartbeat"},
                        Case{enums::TIMEOUT_TYPE_SCHEDULE_TO_START, "WORKER_UNAVAILABLE", "schedule-to-start"},
                        Case{enums::TIMEOUT_TYPE_UNSPECIFIED, "STEP_TIMEOUT", "unspecified"},
                        Case{static_cast<enums::TimeoutType>(99), "STEP_TIMEOUT", "unknown"}}) {
    Failure failure;
    failure.mutable_timeout_failure_info()->set_timeout_type(c.type);
    const Error error = FailureToError(failure);
    EXPECT_EQ(error.code, c.code);
    EXPECT_TRUE(error.retryable);
    EXPECT_EQ(error.Detail("timeoutType"), c.name);
  }
}

TEST(FailureToError, Wrappers_AreLookedThrough) {
  Failure inner;
  ErrorToFailure(Error("TRANSIENT_STEP_ERROR", "busy", true), &inner);
  Failure activity;
  activity.set_message("activity error");
  activity.mutable_activity_failure_info()->set_activity_id("1");
  *activity.mutable_cause() = inner;
  Failure child;
  child.mutable_child_workflow_execution_failure_info();
  *child.mutable_cause() = activity;
  EXPECT_EQ(FailureToError(child).code, "TRANSIENT_STEP_ERROR");
  EXPECT_EQ(FailureToError(child).message, "busy");
}

TEST(FailureToError, WhatNamesNoCode_GetsOne) {
  Failure untyped;
  untyped.set_message("boom");
  untyped.mutable_application_failure_info();
  EXPECT_EQ(FailureToError(untyped).code, "TRANSIENT_STEP_ERROR");
  EXPECT_TRUE(FailureToError(untyped).retryable);
  Failure terminated;
  terminated.mutable_terminated_failure_info();
  EXPECT_EQ(FailureToError(terminated).code, "PROVIDER_TERMINATED");
  Failure bare;
  EXPECT_EQ(FailureToError(bare).code, "PROVIDER_FAILED");
  EXPECT_FALSE(FailureToError(bare).message.empty());
  Failure wrapper;  // without a cause
  wrapper.mutable_activity_failure_info();
  EXPECT_EQ(FailureToError(wrapper).code, "PROVIDER_FAILED");
  Failure server;
  server.mutable_server_failure_info();
  EXPECT_EQ(FailureToError(server).code, "PROVIDER_FAILED");
}

TEST(FailureToError, DetailsOfAnotherShape_AreIgnored) {
  Failure failure;
  auto* info = failure.mutable_application_failure_info();
  info->set_type("X");
  *info->mutable_details() = JsonPayloads(Json::MakeObject({{"details", 1}, {"issues", "no"}}));
  const Error error = FailureToError(failure);
  EXPECT_EQ(error.code, "X");
  EXPECT_TRUE(error.details.empty());
  EXPECT_TRUE(error.issues.empty());
}

}  // namespace
}  // namespace lockstep::workflow
