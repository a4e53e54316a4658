// Finds the files a program was to produce. Patterns are relative to a directory: `*`, `?` and `[...]` match within one
// path element, an element `**` matches any number of elements; names that begin with a dot match only a pattern that
// says so. Symbolic links to directories are not walked; a link to a file counts only when its target lies inside the
// directory.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "engine-core/base/result.h"

namespace lockstep::steps {

// Relative, without `..`, empty elements or control characters. INVALID_STEP_SCHEMA; `place` reads
// `params.artifacts[0]`.
Status CheckGlob(const std::string& pattern, const std::string& place);
bool HasWildcard(const std::string& pattern);

// Relative paths of the regular files that match, each once, in byte order. Errors: ARTIFACT_PATH_ESCAPES for a link
// that leads out of `root`, ARTIFACT_LIMIT_EXCEEDED for more than `max_files`, ARTIFACT_MISSING for a pattern without
// wildcard that names no file.
Result<std::vector<std::string>> ExpandGlobs(const std::filesystem::path& root,
                                             const std::vector<std::string>& patterns, size_t max_files);

}  // namespace lockstep::steps
