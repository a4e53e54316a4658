// Numbers, texts and lists as bytes. One `Fields` overload per structure serves both directions, so that writer and reader cannot
// drift apart; an overload stands in the namespace of its structure or before the call. What is not exactly what the writer wrote
// makes the reader fail, never read out of bounds.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace lockstep::analyzer::binary {

class Writer {
 public:
  static constexpr bool kReading = false;
  void Number(uint64_t value) {
    while (value >= 0x80) {
      out_.push_back(static_cast<char>(value | 0x80));
      value >>= 7;
    }
    out_.push_back(static_cast<char>(value));
  }
  void Text(const std::string& text) {
    Number(text.size());
    out_.append(text);
  }
  std::string Take() { return std::move(out_); }

 private:
  std::string out_;
};

class Reader {
 public:
  static constexpr bool kReading = true;
  explicit Reader(const std::string& bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}
  uint64_t Number() {
    uint64_t value = 0;
    for (int shift = 0; at_ < end_ && shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(*at_++);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    failed_ = true;
    return 0;
  }
  std::string Text() {
    const uint64_t size = Number();
    if (size > static_cast<uint64_t>(end_ - at_)) {
      failed_ = true;
      return {};
    }
    std::string text(at_, size);
    at_ += size;
    return text;
  }
  // Every element takes at least one byte, so a length beyond what is left is corrupt.
  uint64_t Length() {
    const uint64_t size = Number();
    if (size > static_cast<uint64_t>(end_ - at_)) {
      failed_ = true;
      return 0;
    }
    return size;
  }
  bool Finished() const { return !failed_ && at_ == end_; }
  bool failed() const { return failed_; }

 private:
  const char* at_;
  const char* end_;
  bool failed_ = false;
};

template <class A, class T>
void Field(A& a, T& value);
template <class A, class... T>
void All(A& a, T&... values) {
  (Field(a, values), ...);
}

template <class A, class X, class Y>
void Fields(A& a, std::pair<X, Y>& v) {
  All(a, v.first, v.second);
}

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};

template <class A, class T>
void Field(A& a, T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    if constexpr (A::kReading) value = a.Text();
    else a.Text(value);
  } else if constexpr (std::is_enum_v<T> || std::is_integral_v<T>) {
    if constexpr (A::kReading) value = static_cast<T>(a.Number());
    else a.Number(static_cast<uint64_t>(value));
  } else if constexpr (IsVector<T>::value) {
    if constexpr (A::kReading) value.resize(a.Length());
    else a.Number(value.size());
    for (auto& element : value) {
      if constexpr (A::kReading) {
        if (a.failed()) return;
      }
      Field(a, element);
    }
  } else {
    Fields(a, value);
  }
}

}  // namespace lockstep::analyzer::binary
