// Rules about query text. SQL stands in sql.query, in the arguments of SQL clients and in parameters of plugins that
// carry it (TextRole::kSql); dbt variables and plugin parameters are fragments of it when they read like code.
#include <algorithm>
#include <set>

#include "analyzer/plan/plan_rules.h"
#include "analyzer/plan/sql_facts.h"
#include "engine-core/base/bytes.h"
#include "engine-core/plan/references.h"

namespace lockstep::analyzer {
namespace {

void AddAll(const Found& found, std::string_view rule, const PlanText& text, PlanHits* hits) {
  for (const std::string& what : found) hits->Add(rule, text.pointer, text.step, what);
}

void DynamicString(const PlanText& text, const std::vector<SqlStatement>& statements, PlanHits* hits) {
  if (HoldsPlanReference(*text.text))
    hits->Add("dynamic-string", text.pointer, text.step, "a ${...} reference inside query text");
  for (const Placeholder& placeholder : PlaceholdersIn(*text.text)) {
    const bool pastes = placeholder.form == Placeholder::Form::kJinja || placeholder.form == Placeholder::Form::kErb ||
                        placeholder.form == Placeholder::Form::kDollarBrace ||
                        placeholder.form == Placeholder::Form::kBrace;
    // '{a,b}' is an array or JSON literal.
    const bool literal = placeholder.form == Placeholder::Form::kBrace &&
                         std::any_of(statements.begin(), statements.end(), [&](const SqlStatement& statement) {
                           return std::any_of(statement.begin(), statement.end(), [&](const SqlToken& token) {
                             return token.kind == SqlToken::Kind::kString && token.text == placeholder.written;
                           });
                         });
    if (pastes && !literal)
      hits->Add("dynamic-string", text.pointer, text.step, placeholder.written + " pasted into query text");
  }
  AddAll(DynamicSqlIn(statements), "dynamic-string", text, hits);
}

void QueryText(const PlanText& text, PlanHits* hits) {
  const auto statements = ParseSql(*text.text, text.dialect);
  AddAll(CurrentTimeIn(statements), "current-time", text, hits);
  AddAll(RandomIn(statements), "random", text, hits);
  AddAll(UuidIn(statements), "uuid", text, hits);
  AddAll(ExternalCallsIn(statements), "external-call", text, hits);
  AddAll(NonIdempotentIn(statements), "non-idempotent-state", text, hits);
  AddAll(SessionSettingsIn(statements), "session-settings", text, hits);
  AddAll(EnvironmentIn(statements), "env-reference", text, hits);
  AddAll(UnorderedKeptIn(statements), "unordered-result", text, hits);
  DynamicString(text, statements, hits);
}

// A variable or parameter whose text becomes part of a query.
void Fragment(const PlanText& text, PlanHits* hits) {
  const auto tokens = TokenizeSql(*text.text, text.dialect);
  if (tokens.empty() || tokens.size() > 200 || !ReadsLikeCode(tokens)) return;
  // An identifier such as the name of a column is one token; a call has at least three.
  const std::vector<SqlStatement> statements = {tokens};
  AddAll(CurrentTimeIn(statements), "current-time", text, hits);
  AddAll(RandomIn(statements), "random", text, hits);
  AddAll(UuidIn(statements), "uuid", text, hits);
}

// `SELECT ... ` joined from pieces: query is no text at all.
void PiecedQueries(const PlanView& view, PlanHits* hits) {
  for (const PlanMember& member : view.members) {
    if (member.step == kNoStep || view.steps[member.step].kind != "sql.query" || member.key != "query") continue;
    if (member.value->is_array() || member.value->is_object())
      hits->Add("dynamic-string", member.pointer, member.step, "a query put together from pieces");
  }
}

bool ReadsRows(const std::string& pointer) {
  return pointer.empty() || pointer == "/rows" || pointer.starts_with("/rows/");
}

// Steps whose rows somebody else reads: by a reference or a condition.
std::map<size_t, std::string> RowReaders(const PlanView& view) {
  std::map<size_t, std::string> readers;
  const auto note = [&](const std::string& step_id, const std::string& pointer, const std::string& who) {
    const PlanStep* step = view.FindStep(step_id);
    if (step != nullptr && ReadsRows(pointer)) readers.emplace(step->index, who);
  };
  for (const PlanText& text : view.texts) {
    if (text.step == kNoStep || text.text->find("${") == std::string::npos) continue;
    const auto parts = plan::ParseTemplate(*text.text);
    if (!parts) continue;
    for (const plan::Reference& reference : parts->references) {
      if (reference.source == plan::ReferenceSource::kStepResult)
        note(reference.name, reference.pointer, "step " + view.steps[text.step].step_id);
    }
  }
  for (const PlanStep& step : view.steps) {
    const Json* conditions = step.json->Find("runIf");
    if (conditions == nullptr || !conditions->is_array()) continue;
    for (const Json& condition : conditions->AsArray())
      note(condition.GetString("step"), condition.GetString("path"), "the condition of step " + step.step_id);
  }
  return readers;
}

}  // namespace

std::map<size_t, std::string> UnorderedSteps(const PlanView& view) {
  std::map<size_t, std::string> unordered;
  for (const PlanStep& step : view.steps) {
    for (const size_t index : step.sql_texts) {
      const PlanText& text = view.texts[index];
      const ResultOrder result = OrderOfResult(ParseSql(*text.text, text.dialect));
      if (result.order == RowOrder::kNone || result.order == RowOrder::kPartial)
        unordered[step.index] = result.why;
      else if (!result.unordered_aggregates.empty())
        unordered[step.index] = result.unordered_aggregates.front();
    }
  }
  return unordered;
}

void RunSqlRules(const PlanView& view, PlanHits* hits) {
  for (const PlanText& text : view.texts) {
    if (text.role == TextRole::kSql)
      QueryText(text, hits);
    else if (text.role == TextRole::kVars || text.role == TextRole::kValue || text.role == TextRole::kBody)
      Fragment(text, hits);
  }
  PiecedQueries(view, hits);
  const auto readers = RowReaders(view);
  for (const auto& [step, why] : UnorderedSteps(view)) {
    const auto reader = readers.find(step);
    if (reader == readers.end() || view.steps[step].sql_texts.empty()) continue;
    hits->Add("unordered-result", view.texts[view.steps[step].sql_texts.back()].pointer, step,
              "rows with " + why + ", read by " + reader->second);
  }
}

}  // namespace lockstep::analyzer
