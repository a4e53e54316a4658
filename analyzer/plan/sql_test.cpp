// The tokenizer: what is code, in which dialect.
#include "analyzer/plan/sql.h"

#include <gtest/gtest.h>

#include "analyzer/plan/plan_text.h"
#include "analyzer/plan/sql_facts.h"

namespace lockstep::analyzer {
namespace {

std::string Words(std::string_view text, SqlDialect dialect = SqlDialect::kGeneric) {
  std::string words;
  for (const auto& token : TokenizeSql(text, dialect)) {
    if (token.kind == SqlToken::Kind::kWord) words += (words.empty() ? "" : " ") + token.text;
  }
  return words;
}

TEST(Sql, DialectsDifferInQuotesAndComments) {
  EXPECT_EQ(Words("select [now] from t", SqlDialect::kTsql), "select from t");
  EXPECT_EQ(Words("select `now` from t # rand()\n where x", SqlDialect::kMysql), "select from t where x");
  EXPECT_EQ(Words("select \"a\\\" now() \" from t", SqlDialect::kMysql), "select from t");
  EXPECT_EQ(Words("select '''now()''' , \"\"\" rand() \"\"\" from t", SqlDialect::kBigquery), "select from t");
  EXPECT_EQ(Words("select q'[it's now()]' from dual", SqlDialect::kOracle), "select from dual");
  EXPECT_EQ(Words("select $tag$ now() $tag$ from t", SqlDialect::kPostgres), "select from t");
  EXPECT_EQ(Words("select E'it\\'s now()' from t", SqlDialect::kPostgres), "select from t");
  EXPECT_EQ(Words("/* a /* b */ now() */ select 1", SqlDialect::kPostgres), "select");
  EXPECT_EQ(Words("/* a /* b */ now() ", SqlDialect::kMysql), "now");
}

TEST(Sql, GuessesEscapesWhenALiteralWouldNotEnd) {
  EXPECT_EQ(Words("select 'it\\'s now()' as x from t"), "select as x from t");
  EXPECT_EQ(Words("select 'C:\\' as path, now() as x"), "select as path now as x");
}

TEST(Sql, CutsStatementsAtSemicolonsOutsideLiterals) {
  EXPECT_EQ(ParseSql("select ';'; ; insert into t values (1);").size(), 2U);
}

TEST(Sql, NamesOfDialectsAndHints) {
  EXPECT_EQ(SqlDialectFromName("MariaDB"), SqlDialect::kMysql);
  EXPECT_FALSE(SqlDialectFromName("cobol").has_value());
  EXPECT_EQ(GuessSqlDialect("wh-snowflake"), SqlDialect::kSnowflake);
  EXPECT_EQ(GuessSqlDialect("postgres://host/db"), SqlDialect::kPostgres);
  EXPECT_EQ(GuessSqlDialect("dsn"), SqlDialect::kGeneric);
}

TEST(Sql, NeverHangsOnUnfinishedText) {
  for (const char* text :
       {"'", "\"", "/*", "$x$ a", "{{", "${", "q'[", "[", "`", "--", "(((", "1e", "%(", "@@", "$$"}) {
    for (int dialect = 0; dialect <= static_cast<int>(SqlDialect::kTrino); ++dialect) {
      const auto statements = ParseSql(std::string("select ") + text, static_cast<SqlDialect>(dialect));
      for (const auto question : {&CurrentTimeIn, &RandomIn, &UuidIn, &DynamicSqlIn, &NonIdempotentIn,
                                  &SessionSettingsIn, &UnorderedKeptIn, &ExternalCallsIn, &EnvironmentIn})
        (*question)(statements);
      OrderOfResult(statements);
    }
  }
}

struct OrderCase {
  const char* sql;
  RowOrder order;
};
class SqlOrder : public testing::TestWithParam<OrderCase> {};
TEST_P(SqlOrder, IsJudged) {
  EXPECT_EQ(OrderOfResult(ParseSql(GetParam().sql)).order, GetParam().order) << GetParam().sql;
}
INSTANTIATE_TEST_SUITE_P(Cases, SqlOrder,
                         testing::ValuesIn(std::vector<OrderCase>{
                             {"select * from t", RowOrder::kNone},
                             {"select a from t order by created_at", RowOrder::kPartial},
                             {"select a, created_at from t order by created_at, id", RowOrder::kTotal},
                             {"select a, b from t order by b, a", RowOrder::kTotal},
                             {"select region, sum(n) as n from t group by region order by region", RowOrder::kTotal},
                             {"select region, sum(n) as n from t group by region order by n desc", RowOrder::kPartial},
                             {"select distinct region from t order by 1", RowOrder::kTotal},
                             {"select count(*) as n, max(x) from t", RowOrder::kSingleRow},
                             {"select count(*) over () from t", RowOrder::kNone},
                             {"select a from t where id = ?", RowOrder::kSingleRow},
                             {"select a from t where id = ? or b = 1", RowOrder::kNone},
                             {"select a from t limit 1", RowOrder::kNone},
                             {"select 1", RowOrder::kSingleRow},
                             {"with x as (select a from t order by id) select a from x", RowOrder::kNone},
                             {"with x as (select a from t) select a, id from x order by id", RowOrder::kTotal},
                             {"values (1), (2)", RowOrder::kTotal},
                             {"update t set a = 1", RowOrder::kNoRows},
                             {"update t set a = 1 returning a", RowOrder::kNone},
                             {"insert into t values (1) returning id", RowOrder::kSingleRow},
                             {"select a from t union select a from u order by a", RowOrder::kTotal},
                             {"select a from t union select b from u", RowOrder::kNone},
                         }));

TEST(PlanText, PlaceholdersOfManyLanguages_ButNotPlanReferences) {
  const auto forms = [](std::string_view text) { return PlaceholdersIn(text).size(); };
  EXPECT_EQ(forms("${params.day} ${run.startedAt} ${steps['a'].result.x}"), 0U);
  EXPECT_EQ(forms("$${HOME}"), 0U);
  EXPECT_EQ(forms("${HOME} {{ now() }} {% if x %} <%= y %> $(date) `date` {host} $HOME %USER%"), 9U);
  EXPECT_EQ(forms("100% of {1,2} $5"), 0U);
}

}  // namespace
}  // namespace lockstep::analyzer
