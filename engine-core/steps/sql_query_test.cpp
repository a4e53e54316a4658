// `sql.query` on a real SQLite file.
#include "engine-core/steps/sql_query.h"

#include <sqlite3.h>

#include "engine-core/steps/testing/step_test.h"

namespace lockstep::steps {
namespace {

class SqlQueryTest : public testing::StepTest {
 protected:
  void SetUp() override {
    StepTest::SetUp();
    SqlSettings& sql = services_.configuration.sql;
    sql.connections["main"] = SqlConnection{PathText("main.db"), SqlConnection::Mode::kCreate};
    sql.connections["reader"] = SqlConnection{PathText("main.db"), SqlConnection::Mode::kReadOnly};
    sql.connections["strict"] = SqlConnection{PathText("absent.db"), SqlConnection::Mode::kReadWrite};
    Exec(
        "create table orders(id integer primary key, name text, price real, raw blob);"
        "insert into orders values (1,'first',1.5,x'00ff'),(2,'second',2.0,null),(3,null,null,null);");
  }
  void Exec(const char* text) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(PathText("main.db").c_str(), &db), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(db, text, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
    sqlite3_close(db);
  }
  Result<Json> Query(const std::string& query, Json::Array args = {}, const std::string& connection = "main") {
    return Run("sql.query",
               Json::MakeObject({{"connection", connection}, {"query", query}, {"args", Json(std::move(args))}}));
  }
  std::string ResultText(const Result<Json>& value) {
    if (!value) return value.error().ToString();
    return CanonicalJson(*value->Find("result"));
  }
};

TEST_F(SqlQueryTest, Read_GivesColumnsRowsAndCounts) {
  EXPECT_EQ(ResultText(Query("select id, name, price, raw from orders where id <= ? order by id", {2})),
            R"({"changes":0,"columns":["id","name","price","raw"],"rowCount":2,)"
            R"("rows":[[1,"first",1.5,{"base64":"AP8="}],[2,"second",2,null]]})");
}

TEST_F(SqlQueryTest, Args_OfEachKindAreBound) {
  EXPECT_EQ(ResultText(Query("select ? a, ? b, ? c, ? d, typeof(?) t, typeof(?) u",
                             {nullptr, true, 7, "it's; drop table orders", 2.5, "x"})),
            R"({"changes":0,"columns":["a","b","c","d","t","u"],"rowCount":1,)"
            R"("rows":[[null,1,7,"it's; drop table orders","real","text"]]})");
}

TEST_F(SqlQueryTest, Args_TooFewOrTooMany_ArePermanent) {
  EXPECT_ERROR(Query("select ?", {}), "PERMANENT_STEP_ERROR");
  EXPECT_ERROR(Query("select ?", {1, 2}), "PERMANENT_STEP_ERROR");
}

TEST_F(SqlQueryTest, Args_ThatAreNoScalars_AreRefused) {
  const auto value = Query("select ?", {Json::MakeArray()});
  EXPECT_ERROR(value, "INVALID_STEP_SCHEMA");
  EXPECT_EQ(value.error().issues.at(0).path, "params.args[0]");
}

TEST_F(SqlQueryTest, Write_ReportsChangesAndIsCommitted) {
  EXPECT_EQ(ResultText(Query("update orders set name = ? where id >= 2", {"x"})),
            R"({"changes":2,"columns":[],"rowCount":0,"rows":[]})");
  EXPECT_EQ(ResultText(Query("select count(*) n from orders where name = 'x'")),
            R"({"changes":0,"columns":["n"],"rowCount":1,"rows":[[2]]})");
}

TEST_F(SqlQueryTest, Write_WithReturning_GivesRows) {
  EXPECT_EQ(ResultText(Query("delete from orders where id = 1 returning id, name")),
            R"({"changes":1,"columns":["id","name"],"rowCount":1,"rows":[[1,"first"]]})");
}

TEST_F(SqlQueryTest, Statements_OfOneQuery_AreOneTransaction) {
  EXPECT_EQ(
      ResultText(Query("create table t(a); insert into t values (?), (?); select sum(a) s from t where a > ?; -- end",
                       {1, 2, 0})),
      R"({"changes":2,"columns":["s"],"rowCount":1,"rows":[[3]]})");
  EXPECT_ERROR(Query("insert into t values (10); insert into nowhere values (1)"), "PERMANENT_STEP_ERROR");
  EXPECT_EQ(Query("select count(*) from t")->Find("result")->At("/rows/0/0")->AsInt(), 2);
}

TEST_F(SqlQueryTest, Errors_OfTheStatement_ArePermanent) {
  for (const char* query :
       {"selec 1", "select * from nowhere", "insert into orders(id) values (1)", "  ", "-- only a comment"}) {
    const auto value = Query(query);
    EXPECT_ERROR(value, "PERMANENT_STEP_ERROR") << query;
    EXPECT_FALSE(value.error().retryable);
    EXPECT_EQ(value.error().Detail("category"), "USER");
  }
}

TEST_F(SqlQueryTest, ReadOnlyConnection_RefusesWrites) {
  EXPECT_TRUE(Query("select 1", {}, "reader").has_value());
  EXPECT_ERROR(Query("delete from orders", {}, "reader"), "PERMANENT_STEP_ERROR");
}

TEST_F(SqlQueryTest, Locked_IsTransientAfterTheWait) {
  services_.configuration.sql.busy_timeout_ms = 0;
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(PathText("main.db").c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "begin exclusive", nullptr, nullptr, nullptr), SQLITE_OK);
  const auto value = Query("delete from orders");
  sqlite3_close(other);
  EXPECT_ERROR(value, "TRANSIENT_STEP_ERROR");
  EXPECT_TRUE(value.error().retryable);
  EXPECT_EQ(Query("select count(*) from orders")->Find("result")->At("/rows/0/0")->AsInt(), 3);
}

TEST_F(SqlQueryTest, Forbidden_OtherFilesTransactionsExtensionsAndPragmas) {
  const std::string attach = "attach database '" + PathText("other.db") + "' as other";
  for (const std::string& query :
       {attach, std::string("detach database main"), std::string("commit"), std::string("begin"),
        std::string("rollback"), std::string("savepoint a"), std::string("select load_extension('x')"),
        std::string("pragma writable_schema = 1"), std::string("pragma journal_mode = delete"),
        std::string("pragma foreign_keys = off"), "vacuum into '" + PathText("copy.db") + "'"}) {
    const auto value = Query(query);
    ASSERT_FALSE(value.has_value()) << query;
    EXPECT_TRUE(value.error().code == "SQL_NOT_ALLOWED" || value.error().code == "PERMANENT_STEP_ERROR")
        << value.error().ToString();
    EXPECT_FALSE(value.error().retryable) << query;
  }
  EXPECT_ERROR(Query(attach), "SQL_NOT_ALLOWED");
  EXPECT_FALSE(std::filesystem::exists(Path("other.db")));
  EXPECT_FALSE(std::filesystem::exists(Path("copy.db")));
}

TEST_F(SqlQueryTest, HarmlessPragmas_Work) {
  EXPECT_EQ(Query("pragma table_info(orders)")->Find("result")->GetInt("rowCount"), 4);
  EXPECT_TRUE(Query("pragma user_version").has_value());
}

TEST_F(SqlQueryTest, Connection_UnknownName_IsRefused) {
  EXPECT_ERROR(Query("select 1", {}, "nowhere"), "SQL_CONNECTION_UNKNOWN");
}

TEST_F(SqlQueryTest, Connection_MissingFile_FailsAndCreatesNothing) {
  EXPECT_ERROR(Query("select 1", {}, "strict"), "SQL_CONNECTION_FAILED");
  EXPECT_FALSE(std::filesystem::exists(Path("absent.db")));
}

TEST_F(SqlQueryTest, Connection_ThatIsNoDatabase_Fails) {
  std::ofstream(Path("absent.db")) << std::string(4096, 'x');
  EXPECT_ERROR(Query("select * from sqlite_schema", {}, "strict"), "SQL_CONNECTION_FAILED");
}

TEST_F(SqlQueryTest, Connection_FromASecret) {
  AddSecret("wh", "dsn", "sqlite:" + PathText("main.db"));
  secret_refs_ = Json(Json::Array{Json::MakeObject({{"name", "dsn"}, {"secretId", "wh"}, {"key", "dsn"}})});
  EXPECT_TRUE(Query("select count(*) from orders", {}, "dsn").has_value());
  AddSecret("wh", "dsn", "postgres://nowhere");
  const auto value = Query("select 1", {}, "dsn");
  EXPECT_ERROR(value, "SQL_CONNECTION_UNKNOWN");
  EXPECT_EQ(value.error().message.find("postgres"), std::string::npos);
}

TEST_F(SqlQueryTest, Connection_OfTheTarget_Wins) {
  target_ = Json::MakeObject({{"connection", "reader"}});
  EXPECT_ERROR(Query("delete from orders", {}, "main"), "PERMANENT_STEP_ERROR");
}

TEST_F(SqlQueryTest, LargeResult_BecomesAnArtifactOfRows) {
  const auto value = Query(
      "with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000) select i, 'row ' || i from n");
  ASSERT_TRUE(value.has_value()) << value.error().message;
  const Json* result = value->Find("result");
  EXPECT_EQ(result->GetInt("rowCount"), 20000);
  EXPECT_EQ(result->Find("rows"), nullptr);
  const Json rows = ParseJson(Artifact(*result->Find("rowsRef"))).value();
  EXPECT_EQ(rows.AsArray().size(), 20000u);
  EXPECT_EQ(CanonicalJson(rows.AsArray().back()), R"([20000,"row 20000"])");
  EXPECT_EQ(value->Find("artifactRefs")->AsArray().at(0).GetString("kind"), "rows");
}

TEST_F(SqlQueryTest, OneLargeText_BecomesAnArtifactToo) {
  const auto value = Query("select hex(zeroblob(60000)) t");
  ASSERT_TRUE(value.has_value()) << value.error().message;
  EXPECT_NE(value->Find("result")->Find("rowsRef"), nullptr);
}

TEST_F(SqlQueryTest, ResultAboveTheBound_IsRefused) {
  services_.configuration.sql.max_result_bytes = 100000;
  EXPECT_ERROR(
      Query("with recursive n(i) as (select 1 union all select i + 1 from n where i < 200000) select i from n"),
      "SQL_RESULT_TOO_LARGE");
}

TEST_F(SqlQueryTest, Values_BeyondWhatJsonCarries_KeepTheirText) {
  EXPECT_EQ(
      ResultText(Query("select 9007199254740991 a, 9007199254740992 b, -9223372036854775808 c, 9e999 d, cast(x'ff' as "
                       "text) e, 1e18 f")),
      R"({"changes":0,"columns":["a","b","c","d","e","f"],"rowCount":1,)"
      R"("rows":[[9007199254740991,"9007199254740992","-9223372036854775808","Infinity",{"base64":"/w=="},"1000000000000000000"]]})");
}

TEST_F(SqlQueryTest, Cancel_InterruptsARunningStatementAndTakesItBack) {
  const std::string endless =
      "insert into orders(name) with recursive n(i) as (select 1 union all select i + 1 from n) select 'x' from n "
      "where i < 0";
  const auto value =
      RunAndCancel("sql.query", Json::MakeObject({{"connection", "main"}, {"query", "delete from orders; " + endless}}),
                   [this] { return context_.heartbeat_count() > 0; });
  EXPECT_ERROR(value, "CANCELLED");
  EXPECT_FALSE(value.error().retryable);
  testing::FakeActivityContext fresh;
  const Json input =
      Input("sql.query", Json::MakeObject({{"connection", "main"}, {"query", "select count(*) from orders"}}));
  EXPECT_EQ(ExecuteStep(fresh, Json::Array{input}, services_)->At("/result/rows/0/0")->AsInt(), 3);
}

TEST_F(SqlQueryTest, Cancel_EndsTheWaitForALock) {
  services_.configuration.sql.busy_timeout_ms = 3600 * 1000;
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(PathText("main.db").c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "begin exclusive", nullptr, nullptr, nullptr), SQLITE_OK);
  const auto value =
      RunAndCancel("sql.query", Json::MakeObject({{"connection", "main"}, {"query", "delete from orders"}}),
                   [this] { return context_.heartbeat_count() > 0; });
  sqlite3_close(other);
  EXPECT_ERROR(value, "CANCELLED");
}

TEST_F(SqlQueryTest, Timeout_OfTheAttempt_InterruptsTheStatement) {
  context_.info_value.start_to_close_ms = 50;
  const auto value = Query("with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n");
  EXPECT_ERROR(value, "STEP_TIMEOUT");
  EXPECT_TRUE(value.error().retryable);
}

TEST_F(SqlQueryTest, SecretInARow_IsMasked) {
  AddSecret("wh", "token", "first");
  secret_refs_ = Json(Json::Array{Json::MakeObject({{"name", "token"}, {"secretId", "wh"}, {"key", "token"}})});
  EXPECT_EQ(Query("select name from orders where id = 1")->At("/result/rows/0/0")->AsString(), "***");
}

}  // namespace
}  // namespace lockstep::steps
