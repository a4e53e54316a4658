#include "engine-core/base/ids.h"

#include <openssl/rand.h>

#include <chrono>

#include "engine-core/base/bytes.h"
#include "engine-core/base/check.h"

namespace lockstep {
namespace {

// First character, rest and greatest length of a pattern `^[first][rest]{0,max-1}$`; alphanumerics are always allowed.
bool Matches(std::string_view text, std::string_view first_extra, std::string_view rest_extra, size_t max) {
  if (text.empty() || text.size() > max) return false;
  const auto allowed = [](char c, std::string_view extra) {
    return IsAsciiAlnum(c) || extra.find(c) != std::string_view::npos;
  };
  if (!allowed(text.front(), first_extra)) return false;
  for (const char c : text.substr(1)) {
    if (!allowed(c, rest_extra)) return false;
  }
  return true;
}

class RealClock final : public IClock {
 public:
  UnixMillis Now() override {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
};

class RandomIds final : public IIdGenerator {
 public:
  std::string NewUuid() override {
    std::array<uint8_t, 16> bytes{};
    LOCKSTEP_CHECK(RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1, "no random source");
    return FormatUuidV4(bytes);
  }
};

}  // namespace

bool IsIdentifier(std::string_view text) { return Matches(text, "", "._:-", 128); }
bool IsPlanVersion(std::string_view text) { return Matches(text, "", "._+-", 64); }
bool IsStepId(std::string_view text) { return text != "RUN" && Matches(text, "_", "._:/-", 128); }

bool IsEventType(std::string_view text) {
  return text.size() >= 3 && text.size() <= 64 && text[0] >= 'A' && text[0] <= 'Z' && Matches(text, "", "", 64);
}

bool IsUuidV4(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !(IsAsciiDigit(text[i]) || (text[i] >= 'a' && text[i] <= 'f'))) return false;
  }
  return text[14] == '4' && (text[19] == '8' || text[19] == '9' || text[19] == 'a' || text[19] == 'b');
}

std::string FormatUuidV4(std::array<uint8_t, 16> random) {
  random[6] = static_cast<uint8_t>((random[6] & 0x0F) | 0x40);
  random[8] = static_cast<uint8_t>((random[8] & 0x3F) | 0x80);
  const std::string hex = HexEncode(std::string_view(reinterpret_cast<const char*>(random.data()), random.size()));
  return hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-" + hex.substr(12, 4) + "-" + hex.substr(16, 4) + "-" +
         hex.substr(20);
}

IClock& SystemClock() {
  static RealClock clock;
  return clock;
}

IIdGenerator& SystemIdGenerator() {
  static RandomIds ids;
  return ids;
}

}  // namespace lockstep
