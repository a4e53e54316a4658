// Reads and writes results (result.proto). Read are: the model itself, what `lockstep replay --format json` prints and
// what `lockstep-tidy --format json` prints. Whatever was read is normalised: format, tool, verdict and counts are set.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/result.h"
#include "reports/model/result.pb.h"

namespace lockstep {
class Json;
}

namespace lockstep::reports {

inline constexpr std::string_view kResultFormat = "lockstep.result/1";
inline constexpr std::string_view kPassed = "PASSED";
inline constexpr std::string_view kPassedWithWarnings = "PASSED WITH WARNINGS";
inline constexpr std::string_view kFailed = "FAILED";
inline constexpr std::string_view kIncomplete = "INCOMPLETE";

// Error RESULT_INVALID, naming the file, what was expected and what was found.
Result<v1::Result> ParseResult(std::string_view json, const std::string& file);
// `-` reads standard input.
Result<v1::Result> ReadResult(const std::string& file);
// Pretty JSON with a final newline; the same bytes for the same result.
std::string ToJson(const v1::Result& result);
std::string ToJson(const std::vector<v1::Result>& results);

// Counts, tool and verdict from the contents.
void Normalize(v1::Result* result);
// The worst of all: FAILED before INCOMPLETE before PASSED WITH WARNINGS. No result at all is INCOMPLETE.
std::string_view OverallVerdict(const std::vector<v1::Result>& results);
// 0 passed, 1 failed, 3 incomplete (spec 00 section 3).
int ExitCodeFor(std::string_view verdict);

// The likeliest cause that a document of `lockstep trace` names, with its first evidence: `time: the clock of the machine (...)`.
std::string TopCause(const Json& trace);
// What a trace found about a history that another result has as well goes there: the cause, and how to show it again. The trace's
// own row of it is taken away, so that nothing is said twice.
void JoinTraces(std::vector<v1::Result>* results);

// Findings sorted by file, line, column, id (spec 07 AN8), then by root.
void SortFindings(v1::Result* result);

}  // namespace lockstep::reports
