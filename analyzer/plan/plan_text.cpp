// Gives every text its role: one function a step kind, and for programs a table of who takes SQL and who runs a shell
// script.
#include "analyzer/plan/plan_text.h"

#include <algorithm>

#include "engine-core/base/bytes.h"
#include "engine-core/plan/references.h"

namespace lockstep::analyzer {
namespace {

// Members of a step in any schema version; everything else is a parameter of the kind (spec 01 section 5.3).
constexpr std::string_view kStepMembers[] = {
    "stepId",      "kind",           "description", "dependsOn",   "params",    "target", "secretRefs",    "runIf",
    "retryPolicy", "logicalRetries", "timeouts",    "workerClass", "taskQueue", "plugin", "waitForSignal", "costHint"};
constexpr std::string_view kSqlKeys[] = {"ddl",     "query",     "querytext",  "queries", "sql",
                                         "sqltext", "statement", "statements", "presql",  "postsql"};
constexpr std::string_view kPathKeys[] = {
    "artifact",  "artifactname", "artifactpath", "artifacts",  "destination", "destpath", "dir",
    "directory", "exportpath",   "file",         "filename",   "filepath",    "folder",   "key",
    "keyprefix", "location",     "objectkey",    "out",        "outdir",      "outfile",  "output",
    "outputdir", "outputfile",   "outputkey",    "outputpath", "outputuri",   "path",     "pathtemplate",
    "prefix",    "resultpath",   "sink",         "target",     "targetpath",  "uri",      "writeto",
    "blobname",  "objectname",   "outputname",   "reportpath", "snapshotpath"};

bool In(const std::string& key, const auto& table) {
  return std::find(std::begin(table), std::end(table), std::string_view(key)) != std::end(table);
}

struct ClientRow {
  std::string_view program;
  std::vector<std::string_view> options;  // the word behind one of these is SQL; empty: any word that reads like SQL
  SqlDialect dialect;
};
const std::vector<ClientRow>& SqlClients() {
  static const std::vector<ClientRow> rows = {
      {"psql", {"-c", "--command"}, SqlDialect::kPostgres},
      {"mysql", {"-e", "--execute"}, SqlDialect::kMysql},
      {"mariadb", {"-e", "--execute"}, SqlDialect::kMysql},
      {"sqlite3", {}, SqlDialect::kSqlite},
      {"duckdb", {}, SqlDialect::kDuckdb},
      {"bq", {}, SqlDialect::kBigquery},
      {"snowsql", {"-q", "--query"}, SqlDialect::kSnowflake},
      {"sqlcmd", {"-Q", "-q"}, SqlDialect::kTsql},
      {"clickhouse-client", {"-q", "--query"}, SqlDialect::kClickhouse},
      {"trino", {"--execute"}, SqlDialect::kTrino},
      {"beeline", {"-e"}, SqlDialect::kSpark},
      {"spark-sql", {"-e"}, SqlDialect::kSpark},
      {"snow", {"-q", "--query"}, SqlDialect::kSnowflake},
  };
  return rows;
}
constexpr std::string_view kShells[] = {"ash", "bash", "dash", "ksh", "sh", "zsh"};

std::string BaseName(std::string_view path) {
  return std::string(path.substr(path.rfind('/') == std::string_view::npos ? 0 : path.rfind('/') + 1));
}

class Builder {
 public:
  Builder(PlanView* view, SqlDialect dialect) : view_(view), dialect_(dialect) {}

  void AddStep(PlanStep* step) {
    step_ = step;
    connection_dialect_ = DialectOf(*step->json);
    const Json* params = step->json->Find("params");
    if (params != nullptr && params->is_object()) {
      for (const auto& [key, value] : params->AsObject())
        Parameter(key, value, step->pointer + "/params/" + JsonPointerToken(key));
    }
    for (const auto& [key, value] : step->json->AsObject()) {
      if (!In(key, kStepMembers)) Parameter(key, value, step->pointer + "/" + JsonPointerToken(key));
    }
    if (const Json* target = step->json->Find("target"); target != nullptr)
      Walk(*target, step->pointer + "/target", "target", [](const std::string&) { return TextRole::kTarget; });
    if (const Json* description = step->json->Find("description"); description != nullptr)
      Add(TextRole::kMessage, *description, step->pointer + "/description", "description");
    step_ = nullptr;
  }

  void AddPlanParams(const Json& params) {
    for (const auto& [key, value] : params.AsObject())
      Walk(value, "/params/" + JsonPointerToken(key), key, [](const std::string&) { return TextRole::kPlanParam; });
  }

 private:
  SqlDialect DialectOf(const Json& step) const {
    for (const char* pointer : {"/params/dialect", "/dialect", "/target/dialect", "/target/connection",
                                "/params/connection", "/connection", "/target/warehouse", "/plugin/pluginId"}) {
      const Json* hint = step.At(pointer);
      if (hint == nullptr || !hint->is_string()) continue;
      if (const SqlDialect found = GuessSqlDialect(hint->AsString()); found != SqlDialect::kGeneric) return found;
    }
    return dialect_;
  }

  void Add(TextRole role, const Json& value, const std::string& pointer, const std::string& key, SqlDialect dialect) {
    if (!value.is_string()) return;
    if (role == TextRole::kSql && step_ != nullptr) step_->sql_texts.push_back(view_->texts.size());
    view_->texts.push_back({role, step_ == nullptr ? kNoStep : step_->index, pointer, key, &value.AsString(), dialect});
  }
  void Add(TextRole role, const Json& value, const std::string& pointer, const std::string& key) {
    Add(role, value, pointer, key, connection_dialect_);
  }

  // Every text below `value`; `role` tells by the nearest member name.
  template <typename RoleOf>
  void Walk(const Json& value, const std::string& pointer, const std::string& key, const RoleOf& role) {
    view_->members.push_back({step_ == nullptr ? kNoStep : step_->index, pointer, key, &value});
    if (value.is_string()) {
      Add(role(key), value, pointer, key);
    } else if (value.is_array()) {
      for (size_t i = 0; i < value.AsArray().size(); ++i)
        Walk(value.AsArray()[i], pointer + "/" + std::to_string(i), key, role);
    } else if (value.is_object()) {
      for (const auto& [name, member] : value.AsObject())
        Walk(member, pointer + "/" + JsonPointerToken(name), name, role);
    }
  }

  TextRole FreeRole(const std::string& key, const std::string& text, TextRole fallback) const {
    const std::string name = NormalizedKey(key);
    if (In(name, kSqlKeys) && LooksLikeSql(text)) return TextRole::kSql;
    if (name == "url" || name == "endpoint") return TextRole::kUrl;
    if (name == "description" || name == "comment" || name == "note") return TextRole::kMessage;
    if (In(name, kPathKeys) && fallback == TextRole::kValue) return TextRole::kPath;
    return fallback;
  }

  void Free(const Json& value, const std::string& pointer, const std::string& key, TextRole fallback) {
    view_->members.push_back({step_->index, pointer, key, &value});
    if (value.is_string()) {
      Add(FreeRole(key, value.AsString(), fallback), value, pointer, key);
    } else if (value.is_array()) {
      for (size_t i = 0; i < value.AsArray().size(); ++i)
        Free(value.AsArray()[i], pointer + "/" + std::to_string(i), key, fallback);
    } else if (value.is_object()) {
      for (const auto& [name, member] : value.AsObject())
        Free(member, pointer + "/" + JsonPointerToken(name), name, fallback);
    }
  }

  void Parameter(const std::string& key, const Json& value, const std::string& pointer) {
    const std::string& kind = step_->kind;
    const auto constant = [](TextRole role) { return [role](const std::string&) { return role; }; };
    if (kind == "echo" || kind == "noop" || kind == "sleep" || kind == "fail") {
      Walk(value, pointer, key, constant(TextRole::kMessage));
    } else if (kind == "sql.query") {
      if (key == "query")
        Walk(value, pointer, key, constant(TextRole::kSql));
      else if (key == "args")
        Walk(value, pointer, key, constant(TextRole::kBound));
      else if (key == "connection")
        Walk(value, pointer, key, constant(TextRole::kTarget));
      else
        Free(value, pointer, key, TextRole::kValue);
    } else if (kind.starts_with("dbt.")) {
      Walk(value, pointer, key,
           constant(key == "select" || key == "exclude" || key == "selector" ? TextRole::kSelect : TextRole::kVars));
    } else if (kind == "http.request") {
      if (key == "url")
        Walk(value, pointer, key, constant(TextRole::kUrl));
      else if (key == "headers")
        Walk(value, pointer, key, constant(TextRole::kHeader));
      else
        Free(value, pointer, key, TextRole::kBody);
    } else if (kind == "process.run") {
      Process(key, value, pointer);
    } else {
      Free(value, pointer, key, TextRole::kValue);
    }
  }

  void Process(const std::string& key, const Json& value, const std::string& pointer) {
    const auto constant = [](TextRole role) { return [role](const std::string&) { return role; }; };
    if (key == "argv" && value.is_array()) {
      view_->members.push_back({step_->index, pointer, key, &value});
      Argv(value.AsArray(), pointer);
    } else if (key == "env") {
      Walk(value, pointer, key, constant(TextRole::kEnv));
    } else if (key == "artifacts" || key == "cwd") {
      Walk(value, pointer, key, constant(TextRole::kPath));
    } else if (key == "stdin") {
      const bool shell = In(step_->program, kShells);
      const auto client = std::ranges::find(SqlClients(), std::string_view(step_->program), &ClientRow::program);
      Walk(value, pointer, key,
           constant(shell                          ? TextRole::kShell
                    : client != SqlClients().end() ? TextRole::kSql
                                                   : TextRole::kValue));
    } else {
      Walk(value, pointer, key, constant(TextRole::kArgument));
    }
  }

  void Argv(const Json::Array& words, const std::string& pointer) {
    const auto client = std::ranges::find(SqlClients(), std::string_view(step_->program), &ClientRow::program);
    const bool shell = In(step_->program, kShells);
    std::string option;
    for (size_t i = 0; i < words.size(); ++i) {
      if (!words[i].is_string()) continue;
      const std::string& word = words[i].AsString();
      const std::string at = pointer + "/" + std::to_string(i);
      const bool after_option = client != SqlClients().end() &&
                                std::ranges::find(client->options, std::string_view(option)) != client->options.end();
      const bool sql =
          client != SqlClients().end() && i > 0 && (client->options.empty() ? LooksLikeSql(word) : after_option);
      const bool script = shell && i > 0 && option.starts_with('-') && option.ends_with('c');
      Add(sql      ? TextRole::kSql
          : script ? TextRole::kShell
                   : TextRole::kArgument,
          words[i], at, option, client != SqlClients().end() ? client->dialect : dialect_);
      option = word;
    }
  }

  PlanView* view_;
  SqlDialect dialect_;
  SqlDialect connection_dialect_ = SqlDialect::kGeneric;
  PlanStep* step_ = nullptr;
};

void AddEdges(PlanView* view) {
  const bool dag = std::any_of(view->steps.begin(), view->steps.end(),
                               [](const PlanStep& step) { return step.json->Find("dependsOn") != nullptr; });
  for (PlanStep& step : view->steps) {
    if (!dag) {
      if (step.index > 0) step.depends_on.push_back(step.index - 1);
      continue;
    }
    const Json* list = step.json->Find("dependsOn");
    if (list == nullptr || !list->is_array()) continue;
    for (const Json& entry : list->AsArray()) {
      if (!entry.is_string()) continue;
      if (const auto it = view->by_id.find(entry.AsString()); it != view->by_id.end())
        step.depends_on.push_back(it->second);
    }
  }
}

void AddEnvironment(const Json& step, PlanStep* out) {
  const Json* argv = step.At("/params/argv");
  if (argv == nullptr) argv = step.Find("argv");
  if (argv != nullptr && argv->is_array() && !argv->AsArray().empty() && argv->AsArray()[0].is_string())
    out->program = BaseName(argv->AsArray()[0].AsString());
  const Json* env = step.At("/params/env");
  if (env == nullptr) env = step.Find("env");
  if (env != nullptr && env->is_object()) {
    for (const auto& [name, value] : env->AsObject())
      out->env[name] = value.is_string() ? value.AsString() : std::string();
  }
  if (const Json* refs = step.Find("secretRefs"); refs != nullptr && refs->is_array()) {
    for (const Json& ref : refs->AsArray()) out->secret_names.insert(ref.GetString("name"));
  }
}

bool IsName(char c) { return IsAsciiAlnum(c) || c == '_'; }

}  // namespace

const PlanStep* PlanView::FindStep(const std::string& step_id) const {
  const auto it = by_id.find(step_id);
  return it == by_id.end() ? nullptr : &steps[it->second];
}

std::vector<bool> PlanView::AncestorsOf(const PlanStep& step) const {
  std::vector<bool> seen(steps.size(), false);
  std::vector<size_t> open = step.depends_on;
  while (!open.empty()) {
    const size_t next = open.back();
    open.pop_back();
    if (seen[next]) continue;
    seen[next] = true;
    open.insert(open.end(), steps[next].depends_on.begin(), steps[next].depends_on.end());
  }
  return seen;
}

bool LooksLikePlan(const Json& document) {
  const Json* steps = document.Find("steps");
  if (steps == nullptr || !steps->is_array()) return false;
  const Json* metadata = document.Find("metadata");
  if (metadata != nullptr && metadata->is_object() &&
      (metadata->Find("planId") != nullptr || metadata->Find("schemaVersion") != nullptr))
    return true;
  return std::any_of(steps->AsArray().begin(), steps->AsArray().end(),
                     [](const Json& step) { return step.Find("stepId") != nullptr; });
}

PlanView ViewPlan(const Json& document, SqlDialect dialect) {
  PlanView view;
  view.document = &document;
  if (const Json* id = document.At("/metadata/planId"); id != nullptr && id->is_string()) view.plan_id = id->AsString();
  if (const Json* label = document.At("/metadata/labels/sqlDialect"); label != nullptr && label->is_string())
    dialect = SqlDialectFromName(label->AsString()).value_or(dialect);
  const Json::Array& steps = document.Find("steps")->AsArray();
  for (size_t i = 0; i < steps.size(); ++i) {
    if (!steps[i].is_object()) continue;
    PlanStep step;
    step.index = view.steps.size();
    step.pointer = "/steps/" + std::to_string(i);
    const Json* id = steps[i].Find("stepId");
    step.step_id = id != nullptr && id->is_string() ? id->AsString() : std::string();
    const Json* kind = steps[i].Find("kind");
    step.kind = kind != nullptr && kind->is_string() ? kind->AsString() : "noop";
    step.json = &steps[i];
    AddEnvironment(steps[i], &step);
    view.by_id.emplace(step.step_id, step.index);
    view.steps.push_back(std::move(step));
  }
  AddEdges(&view);
  Builder builder(&view, dialect);
  for (PlanStep& step : view.steps) builder.AddStep(&step);
  if (const Json* params = document.Find("params"); params != nullptr && params->is_object())
    builder.AddPlanParams(*params);
  return view;
}

std::string NormalizedKey(std::string_view key) {
  std::string out;
  for (const char c : key) {
    if (IsAsciiAlnum(c)) out += AsciiLower(c);
  }
  return out;
}

std::vector<std::string> WordsOf(std::string_view name) {
  std::vector<std::string> words;
  std::string word;
  const auto flush = [&] {
    if (!word.empty()) words.push_back(AsciiLower(word));
    word.clear();
  };
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    if (!IsAsciiAlnum(c)) {
      flush();
      continue;
    }
    const bool upper = c >= 'A' && c <= 'Z';
    const bool after_lower = i > 0 && name[i - 1] >= 'a' && name[i - 1] <= 'z';
    if (upper && after_lower) flush();
    word += c;
  }
  flush();
  return words;
}

bool HoldsPlanReference(const std::string& text) {
  if (text.find("${") == std::string::npos) return false;
  const auto parts = plan::ParseTemplate(text);
  if (parts) return !parts->references.empty();
  // A text with something else in `${}` too: look at each piece.
  for (size_t at = text.find("${"); at != std::string::npos; at = text.find("${", at + 2)) {
    if (at > 0 && text[at - 1] == '$') continue;
    const size_t end = text.find('}', at);
    if (end == std::string::npos) return false;
    const auto one = plan::ParseTemplate(text.substr(at, end - at + 1));
    if (one && !one->references.empty()) return true;
  }
  return false;
}

std::vector<Placeholder> PlaceholdersIn(std::string_view text) {
  using Form = Placeholder::Form;
  std::vector<Placeholder> found;
  const auto take = [&](size_t* at, size_t open, std::string_view close, Form form) {
    const size_t end = text.find(close, *at + open);
    if (end == std::string_view::npos) return false;
    found.push_back({form, std::string(text.substr(*at + open, end - *at - open)),
                     std::string(text.substr(*at, end + close.size() - *at))});
    *at = end + close.size();
    return true;
  };
  for (size_t i = 0; i < text.size();) {
    const std::string_view rest = text.substr(i);
    if (rest.starts_with("$${")) {
      i += 3;
    } else if (rest.starts_with("${")) {
      const size_t end = text.find('}', i);
      if (end != std::string_view::npos && HoldsPlanReference(std::string(text.substr(i, end - i + 1)))) {
        i = end + 1;
      } else if (!take(&i, 2, "}", Form::kDollarBrace)) {
        ++i;
      }
    } else if (rest.starts_with("{{")) {
      if (!take(&i, 2, "}}", Form::kJinja)) ++i;
    } else if (rest.starts_with("{%")) {
      if (!take(&i, 2, "%}", Form::kJinja)) ++i;
    } else if (rest.starts_with("<%")) {
      if (!take(&i, 2, "%>", Form::kErb)) ++i;
    } else if (rest.starts_with("$(")) {
      if (!take(&i, 2, ")", Form::kCommand)) ++i;
    } else if (rest[0] == '`') {
      if (!take(&i, 1, "`", Form::kCommand)) ++i;
    } else if (rest[0] == '{' && rest.size() > 1 && (IsAsciiAlpha(rest[1]) || rest[1] == '_')) {
      size_t end = i + 1;
      while (end < text.size() &&
             (IsName(text[end]) || text[end] == '.' || text[end] == '-' || text[end] == ':' || text[end] == '%'))
        ++end;
      if (end < text.size() && text[end] == '}')
        take(&i, 1, "}", Form::kBrace);
      else
        ++i;
    } else if (rest[0] == '$' && rest.size() > 1 && (IsAsciiAlpha(rest[1]) || rest[1] == '_') &&
               !(i > 0 && text[i - 1] == '\\')) {
      size_t end = i + 1;
      while (end < text.size() && IsName(text[end])) ++end;
      found.push_back(
          {Form::kDollar, std::string(text.substr(i + 1, end - i - 1)), std::string(text.substr(i, end - i))});
      i = end;
    } else if (rest[0] == '%' && rest.size() > 2 && IsAsciiAlpha(rest[1])) {
      size_t end = i + 1;
      while (end < text.size() && IsName(text[end])) ++end;
      if (end < text.size() && text[end] == '%' && end - i > 2) {
        found.push_back(
            {Form::kPercent, std::string(text.substr(i + 1, end - i - 1)), std::string(text.substr(i, end - i + 1))});
        i = end + 1;
      } else {
        ++i;
      }
    } else {
      ++i;
    }
  }
  return found;
}

}  // namespace lockstep::analyzer
