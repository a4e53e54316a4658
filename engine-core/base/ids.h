// Identifiers of the contract and their patterns (spec 01 section 2 and 5.3, spec 02 section 2).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine-core/base/clock.h"

namespace lockstep {

// `^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$`: run, tenant, project and environment ids, and plan ids.
bool IsIdentifier(std::string_view text);
// `^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$`
bool IsPlanVersion(std::string_view text);
// `^[A-Za-z0-9_][A-Za-z0-9._:/-]{0,127}$`, never the literal `RUN`.
bool IsStepId(std::string_view text);
// `^[A-Z][A-Za-z0-9]{2,63}$`
bool IsEventType(std::string_view text);
// Lower case, version 4, variant 10.
bool IsUuidV4(std::string_view text);

// Formats 128 random bits as a UUID version 4 (sets the version and variant bits).
std::string FormatUuidV4(std::array<uint8_t, 16> random);

}  // namespace lockstep
