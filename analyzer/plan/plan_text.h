// A plan document as the rules see it: steps with their ancestors, and every text with the role it plays (query, bound
// argument, path, shell script ...). Built leniently from any JSON object that has `steps`: a linter must also speak
// about plans that the loader would refuse. Views into the document, which must outlive it.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "analyzer/plan/sql.h"
#include "engine-core/base/json.h"

namespace lockstep::analyzer {

enum class TextRole : uint8_t {
  kSql,     // query text: sql.query, SQL handed to a client program or a plugin
  kBound,   // args[]: a value, never code
  kVars,    // dbt vars: substituted into SQL
  kSelect,  // dbt select and exclude
  kValue,   // free parameters of plugins and unknown kinds
  kUrl,
  kHeader,
  kBody,
  kArgument,   // one word of argv
  kShell,      // a script for sh -c, or the standard input of a shell
  kEnv,        // value of an environment variable of the step
  kPath,       // where something is written: artifacts, output paths, cwd
  kTarget,     // step target members
  kPlanParam,  // default of a run parameter
  kMessage,    // for people: echo, descriptions
};

inline constexpr size_t kNoStep = SIZE_MAX;

struct PlanText {
  TextRole role = TextRole::kValue;
  size_t step = kNoStep;
  std::string pointer;
  // The nearest member name above the text, for instance `url`; in argv the option before it (`--threads`).
  std::string key;
  const std::string* text = nullptr;
  SqlDialect dialect = SqlDialect::kGeneric;  // kSql only
};

// A scalar or container of a step's parameters under a member name.
struct PlanMember {
  size_t step = kNoStep;
  std::string pointer;
  std::string key;
  const Json* value = nullptr;
};

struct PlanStep {
  size_t index = 0;
  std::string pointer;  // /steps/3
  std::string step_id;
  std::string kind;
  const Json* json = nullptr;
  std::vector<size_t> depends_on;  // as the loader sees it: a chain when no step declares dependencies
  std::set<std::string> secret_names;
  std::map<std::string, std::string> env;  // process.run
  std::string program;                     // process.run: argv[0] without folders
  std::vector<size_t> sql_texts;           // indices into PlanView::texts
};

struct PlanView {
  const Json* document = nullptr;
  std::string plan_id;
  std::vector<PlanStep> steps;
  std::map<std::string, size_t> by_id;
  std::vector<PlanText> texts;
  std::vector<PlanMember> members;  // every member below the parameters, depth first

  const PlanStep* FindStep(const std::string& step_id) const;
  // By step index. Cycles end somewhere.
  std::vector<bool> AncestorsOf(const PlanStep& step) const;
};

// Whether a JSON document is meant to be a plan.
bool LooksLikePlan(const Json& document);
// `document` looks like a plan. `dialect`: for texts whose connection tells nothing.
PlanView ViewPlan(const Json& document, SqlDialect dialect);

// A name without `_`, `-` and case: `max_threads`, `maxThreads` and `max-threads` are one.
std::string NormalizedKey(std::string_view key);
// `maxThreads` -> max, threads.
std::vector<std::string> WordsOf(std::string_view name);

// The pieces of a text that some template language would replace: `{{ x }}`, `{% x %}`, `${x}`, `$(x)`, `<%= x %>`,
// `{x}`,
// `$X`, `%X%`. Well-formed references of the plan language (`${params.day}`) are not among them.
struct Placeholder {
  enum class Form : uint8_t { kJinja, kDollarBrace, kCommand, kErb, kBrace, kDollar, kPercent };
  Form form = Form::kJinja;
  std::string text;     // inside
  std::string written;  // with its delimiters
};
std::vector<Placeholder> PlaceholdersIn(std::string_view text);
// Whether a text holds a reference of the plan language.
bool HoldsPlanReference(const std::string& text);

}  // namespace lockstep::analyzer
