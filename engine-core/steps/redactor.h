// Keeps secret values out of what a step writes (spec 09 SK-1): every occurrence becomes `***`. Works on whole texts,
// on JSON and on streams, where a value may be cut in two by the size of a read. Values shorter than 4 bytes are not
// looked for: masking each `1` would destroy the output without hiding anything.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine-core/base/json.h"

namespace lockstep::steps {

class Redactor {
 public:
  Redactor() = default;
  explicit Redactor(std::vector<std::string> values);

  bool empty() const { return values_.empty(); }
  bool Finds(std::string_view text) const;
  std::string Redact(std::string_view text) const;
  // Strings and member names, at every depth.
  Json RedactJson(const Json& value) const;

  // Length of the longest value: a stream holds back one byte less than this.
  size_t longest() const { return longest_; }
  const std::vector<std::string>& values() const { return values_; }

 private:
  // The longest value that begins at `at`; 0 when none does.
  size_t MatchAt(std::string_view text, size_t at) const;
  friend class StreamRedactor;

  std::vector<std::string> values_;  // longest first
  size_t longest_ = 0;
};

// One stream through a redactor. `Feed` returns what is safe to pass on; `Finish` the rest.
class StreamRedactor {
 public:
  explicit StreamRedactor(const Redactor& redactor) : redactor_(&redactor) {}
  std::string Feed(std::string_view bytes);
  std::string Finish();

 private:
  std::string Take(bool at_end);
  const Redactor* redactor_;
  std::string held_;
};

// Looks for a secret in a stream without changing it.
class StreamSearch {
 public:
  explicit StreamSearch(const Redactor& redactor) : redactor_(&redactor) {}
  // True once a value has been seen.
  bool Feed(std::string_view bytes);

 private:
  const Redactor* redactor_;
  std::string tail_;
  bool found_ = false;
};

}  // namespace lockstep::steps
