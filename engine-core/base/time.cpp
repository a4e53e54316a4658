#include "engine-core/base/time.h"

#include <chrono>

#include "engine-core/base/bytes.h"

namespace lockstep {
namespace {

constexpr int64_t kMillisPerDay = 86'400'000;
constexpr int64_t kSecondsPerDay = 86'400;

void AppendDigits(std::string* out, int64_t value, int width) {
  char digits[20];
  for (int i = width - 1; i >= 0; --i) {
    digits[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
  out->append(digits, static_cast<size_t>(width));
}

// Reads exactly `width` digits at `at`; -1 when there are not.
inline int64_t Digits(std::string_view text, size_t at, size_t width) {
  if (at + width > text.size()) return -1;
  int32_t value = 0;
  bool digits = true;
  for (size_t i = at; i < at + width; ++i) {
    digits &= IsAsciiDigit(text[i]);
    value = value * 10 + (text[i] - '0');
  }
  return digits ? value : -1;
}

void AppendDate(std::string* out, int64_t days) {
  const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{days}}};
  AppendDigits(out, static_cast<int>(date.year()), 4);
  out->push_back('-');
  AppendDigits(out, static_cast<unsigned>(date.month()), 2);
  out->push_back('-');
  AppendDigits(out, static_cast<unsigned>(date.day()), 2);
}

void AppendClock(std::string* out, int64_t second_of_day) {
  AppendDigits(out, second_of_day / 3600, 2);
  out->push_back(':');
  AppendDigits(out, second_of_day / 60 % 60, 2);
  out->push_back(':');
  AppendDigits(out, second_of_day % 60, 2);
}

// Days since the epoch for `YYYY-MM-DD` at the front; nothing when it is no date of the calendar.
std::optional<int64_t> ParseDate(std::string_view text) {
  const int64_t year = Digits(text, 0, 4), month = Digits(text, 5, 2), day = Digits(text, 8, 2);
  if (year < 0 || month < 0 || day < 0 || text[4] != '-' || text[7] != '-') return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year{static_cast<int>(year)},
                                         std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days{date}.time_since_epoch().count();
}

std::optional<int64_t> ParseClock(std::string_view text) {
  const int64_t hour = Digits(text, 0, 2), minute = Digits(text, 3, 2), second = Digits(text, 6, 2);
  if (hour < 0 || minute < 0 || second < 0 || text[2] != ':' || text[5] != ':') return std::nullopt;
  if (hour > 23 || minute > 59 || second > 59) return std::nullopt;
  return hour * 3600 + minute * 60 + second;
}

}  // namespace

std::string FormatUtcMillis(UnixMillis millis) {
  int64_t days = millis / kMillisPerDay;
  int64_t rest = millis % kMillisPerDay;
  if (rest < 0) {
    rest += kMillisPerDay;
    --days;
  }
  std::string out;
  out.reserve(24);
  AppendDate(&out, days);
  out.push_back('T');
  AppendClock(&out, rest / 1000);
  out.push_back('.');
  AppendDigits(&out, rest % 1000, 3);
  out.push_back('Z');
  return out;
}

std::optional<UnixMillis> ParseUtcMillis(std::string_view text) {
  if (text.size() != 24 || text[10] != 'T' || text[19] != '.' || text[23] != 'Z') return std::nullopt;
  const auto days = ParseDate(text.substr(0, 10));
  const auto clock = ParseClock(text.substr(11, 8));
  const int64_t millis = Digits(text, 20, 3);
  if (!days || !clock || millis < 0) return std::nullopt;
  return *days * kMillisPerDay + *clock * 1000 + millis;
}

std::optional<UnixNanos> ParseRfc3339(std::string_view text) {
  if (text.size() < 20 || (text[10] != 'T' && text[10] != 't')) return std::nullopt;
  const auto days = ParseDate(text.substr(0, 10));
  const auto clock = ParseClock(text.substr(11, 8));
  if (!days || !clock) return std::nullopt;
  text.remove_prefix(19);
  int32_t nanos = 0;
  if (text.front() == '.') {
    text.remove_prefix(1);
    size_t count = 0;
    int32_t scale = 100'000'000;
    while (count < text.size() && IsAsciiDigit(text[count])) {
      if (count >= 9) return std::nullopt;
      nanos += (text[count] - '0') * scale;
      scale /= 10;
      ++count;
    }
    if (count == 0) return std::nullopt;
    text.remove_prefix(count);
  }
  int64_t offset = 0;
  if (text.size() == 6 && (text[0] == '+' || text[0] == '-') && text[3] == ':') {
    const int64_t hours = Digits(text, 1, 2), minutes = Digits(text, 4, 2);
    if (hours < 0 || minutes < 0 || hours > 23 || minutes > 59) return std::nullopt;
    offset = (hours * 60 + minutes) * 60 * (text[0] == '+' ? 1 : -1);
  } else if (text != "Z" && text != "z") {
    return std::nullopt;
  }
  return UnixNanos{*days * kSecondsPerDay + *clock - offset, nanos};
}

std::string FormatRfc3339(UnixNanos time) {
  int64_t days = time.seconds / kSecondsPerDay;
  int64_t rest = time.seconds % kSecondsPerDay;
  if (rest < 0) {
    rest += kSecondsPerDay;
    --days;
  }
  std::string out;
  out.reserve(30);
  AppendDate(&out, days);
  out.push_back('T');
  AppendClock(&out, rest);
  if (time.nanos != 0) {
    out.push_back('.');
    if (time.nanos % 1'000'000 == 0) {
      AppendDigits(&out, time.nanos / 1'000'000, 3);
    } else if (time.nanos % 1000 == 0) {
      AppendDigits(&out, time.nanos / 1000, 6);
    } else {
      AppendDigits(&out, time.nanos, 9);
    }
  }
  out.push_back('Z');
  return out;
}

std::string FormatDuration(int64_t millis) {
  if (millis < 1000) return std::to_string(millis) + "ms";
  if (millis < 60'000) {
    std::string out = std::to_string(millis / 1000);
    if (const int64_t tenths = millis % 1000 / 100; tenths != 0) out += "." + std::to_string(tenths);
    return out + "s";
  }
  std::string out;
  const int64_t seconds = millis / 1000;
  if (seconds >= 3600) out += std::to_string(seconds / 3600) + "h";
  AppendDigits(&out, seconds / 60 % 60, seconds >= 3600 ? 2 : (seconds >= 600 ? 2 : 1));
  out.push_back('m');
  AppendDigits(&out, seconds % 60, 2);
  return out + "s";
}

}  // namespace lockstep
