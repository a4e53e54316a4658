// Where in the text each value of a JSON document stands: JSON Pointer -> line and column. Built on demand by one SAX
// pass over bytes that are known to be good JSON; the loader itself needs none of it, linters and error messages do.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "engine-core/base/marks.h"
#include "engine-core/base/result.h"

namespace lockstep::plan {

struct SourcePosition {
  // Both from 1; columns count bytes.
  size_t line = 1;
  size_t column = 1;
  size_t offset = 0;
  friend bool operator==(const SourcePosition&, const SourcePosition&) = default;
};

class LOCKSTEP_DETERMINISTIC SourceMap {
 public:
  // Error JSON_INVALID, also beyond 64 levels.
  static Result<SourceMap> Build(std::string_view json);

  // Of the first byte of the value.
  std::optional<SourcePosition> Find(std::string_view pointer) const;
  // Of the value or, when it is absent, of the closest enclosing one.
  SourcePosition Nearest(std::string_view pointer) const;
  size_t size() const { return positions_.size(); }

 private:
  std::map<std::string, SourcePosition, std::less<>> positions_;
};

// `line 3, column 14` for an issue path of a document.
LOCKSTEP_DETERMINISTIC std::string DescribePosition(const SourceMap& map, std::string_view issue_path);

}  // namespace lockstep::plan
