// `process.run` with real programs (spec 00 section 5, spec 04 section 5.2 rule 7).
#include "engine-core/steps/process_run.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "engine-core/base/sha256.h"
#include "engine-core/steps/child_process.h"
#include "engine-core/steps/descriptor.h"
#include "engine-core/steps/step_error.h"
#include "engine-core/steps/testing/step_test.h"

namespace lockstep::steps {
namespace {

namespace fs = std::filesystem;
using testing::Eventually;

Json Strings(std::initializer_list<const char*> texts) {
  Json out = Json::MakeArray();
  for (const char* text : texts) out.Push(text);
  return out;
}

size_t OpenDescriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

// Neither running nor a zombie that belongs to us.
bool IsGone(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  if (!std::getline(stat, text)) return true;
  return text.find(") Z") != std::string::npos;
}

class ProcessRunTest : public testing::StepTest {
 protected:
  void SetUp() override {
    StepTest::SetUp();
    ProcessSettings& settings = services_.configuration.processes;
    settings.programs = {
        {"sh", "/bin/sh"}, {"cat", "/bin/cat"}, {"env", "/usr/bin/env"}, {"missing", "/nonexistent/program"}};
    settings.roots = {Path("work")};
    fs::create_directories(Path("work/inner"));
  }
  static Json Params(std::initializer_list<const char*> argv) { return Json::MakeObject({{"argv", Strings(argv)}}); }
  static Json Shell(const std::string& script) {
    return Json::MakeObject({{"argv", Json(Json::Array{"sh", "-c", script})}});
  }
  pid_t PidIn(const std::string& name) {
    pid_t pid = 0;
    EXPECT_TRUE(Eventually([&] { return std::ifstream(Path(name)) >> pid && pid > 0; }));
    return pid;
  }
};

TEST_F(ProcessRunTest, Success_StreamsOutputToArtifactsWithDigest) {
  const auto value = Run("process.run", Shell("printf hello; printf oops >&2"));
  ASSERT_TRUE(value.has_value()) << value.error().message;
  EXPECT_EQ(value->GetString("status"), "SUCCESS");
  EXPECT_EQ(ArtifactOfKind(*value, "stdout"), "hello");
  EXPECT_EQ(ArtifactOfKind(*value, "stderr"), "oops");
  const Json* result = value->Find("result");
  EXPECT_EQ(result->GetInt("exitCode", -1), 0);
  EXPECT_EQ(result->GetString("stdoutText"), "hello");
  EXPECT_EQ(result->Find("stdout")->GetString("sha256"), Sha256Hex("hello"));
  EXPECT_EQ(result->Find("stderr")->GetInt("sizeBytes"), 4);
}

TEST_F(ProcessRunTest, Success_ResultOfTheSameWorkIsTheSame) {
  const auto first = Run("process.run", Shell("printf hello"));
  const auto second = Run("process.run", Shell("printf hello"));
  EXPECT_EQ(*first->Find("result"), *second->Find("result"));
  EXPECT_EQ(*first->Find("artifactRefs"), *second->Find("artifactRefs"));
  EXPECT_EQ(CanonicalJson(*first->Find("result")).find("/tmp"), std::string::npos);
}

TEST_F(ProcessRunTest, NoShell_ArgumentsArriveAsWritten) {
  Json params =
      Json::MakeObject({{"argv", Json(Json::Array{"sh", "-c", "printf '%s|' \"$@\"", "x", "a b", "$HOME", "*", ""})}});
  EXPECT_EQ(Run("process.run", std::move(params))->Find("result")->GetString("stdoutText"), "a b|$HOME|*||");
}

TEST_F(ProcessRunTest, Environment_IsEmptyButForWhatIsNamed) {
  ::setenv("LOCKSTEP_TEST_LEAK", "leak", 1);
  EXPECT_EQ(Run("process.run", Params({"env"}))->Find("result")->GetString("stdoutText"), "");
  Json params = Params({"env"});
  params.Set("env", Json::MakeObject({{"A", "1"}, {"B", "x=y"}}));
  EXPECT_EQ(Run("process.run", std::move(params))->Find("result")->GetString("stdoutText"), "A=1\nB=x=y\n");
}

TEST_F(ProcessRunTest, Environment_CarriesSecretsAndTarget_OutputMasksTheSecret) {
  AddSecret("db", "password", "s3cr3t-value\n");
  secret_refs_ = Json(Json::Array{Json::MakeObject({{"name", "PASSWORD"}, {"secretId", "db"}, {"key", "password"}})});
  target_ = Json::MakeObject({{"schema", "mart"}});
  const auto value =
      Run("process.run", Shell("test \"$PASSWORD\" = s3cr3t-value && printf \"$LOCKSTEP_TARGET_SCHEMA $PASSWORD\""));
  ASSERT_TRUE(value.has_value()) << value.error().message;
  EXPECT_EQ(value->Find("result")->GetString("stdoutText"), "mart ***");
  EXPECT_EQ(ArtifactOfKind(*value, "stdout"), "mart ***");
}

TEST_F(ProcessRunTest, Environment_NameOfASecret_IsRefused) {
  AddSecret("db", "password", "s3cr3t-value");
  secret_refs_ = Json(Json::Array{Json::MakeObject({{"name", "A"}, {"secretId", "db"}, {"key", "password"}})});
  Json params = Params({"env"});
  params.Set("env", Json::MakeObject({{"A", "1"}}));
  EXPECT_ERROR(Run("process.run", std::move(params)), "INVALID_STEP_SCHEMA");
}

TEST_F(ProcessRunTest, Failure_SecretInStandardErrorIsMasked) {
  AddSecret("db", "password", "s3cr3t-value");
  secret_refs_ = Json(Json::Array{Json::MakeObject({{"name", "PASSWORD"}, {"secretId", "db"}, {"key", "password"}})});
  const auto value = Run("process.run", Shell("echo \"cannot log in with $PASSWORD\" >&2; exit 1"));
  EXPECT_ERROR(value, "TRANSIENT_STEP_ERROR");
  EXPECT_EQ(value.error().message.find("s3cr3t"), std::string::npos);
  EXPECT_NE(value.error().message.find("cannot log in with ***"), std::string::npos);
}

TEST_F(ProcessRunTest, CollectedFile_ThatHoldsASecret_IsRefused) {
  AddSecret("db", "password", "s3cr3t-value");
  secret_refs_ = Json(Json::Array{Json::MakeObject({{"name", "PASSWORD"}, {"secretId", "db"}, {"key", "password"}})});
  Json params = Shell("printf \"x$PASSWORD\" > out.txt");
  params.Set("artifacts", Strings({"out.txt"}));
  EXPECT_ERROR(Run("process.run", std::move(params)), "SECRET_IN_ARTIFACT");
}

TEST_F(ProcessRunTest, StandardInput_IsTheGivenText) {
  Json params = Params({"cat"});
  params.Set("stdin", "line one\nline two");
  EXPECT_EQ(Run("process.run", std::move(params))->Find("result")->GetString("stdoutText"), "line one\nline two");
}

TEST_F(ProcessRunTest, StandardInput_AbsentIsEmpty_AndUnreadHarmsNothing) {
  EXPECT_EQ(Run("process.run", Params({"cat"}))->Find("result")->GetString("stdoutText"), "");
  Json params = Shell("exit 0");
  params.Set("stdin", std::string(60000, 'x'));
  EXPECT_TRUE(Run("process.run", std::move(params)).has_value());
}

TEST_F(ProcessRunTest, Program_ByAllowedNameOrPath) {
  EXPECT_TRUE(Run("process.run", Params({"sh", "-c", "exit 0"})).has_value());
  EXPECT_TRUE(Run("process.run", Params({"/bin/sh", "-c", "exit 0"})).has_value());
}

TEST_F(ProcessRunTest, Program_NotAllowed_IsRefusedWithoutRetry) {
  for (const char* name : {"ls", "/bin/ls", "./sh", "bin/sh", "/bin/../bin/sh", "/usr/bin/sh"}) {
    const auto value = Run("process.run", Params({name}));
    EXPECT_ERROR(value, "PROGRAM_NOT_ALLOWED");
    EXPECT_FALSE(value.error().retryable);
    EXPECT_EQ(value.error().Detail("category"), "USER");
  }
}

TEST_F(ProcessRunTest, Program_ThatDoesNotExist_CannotStart) {
  const auto value = Run("process.run", Params({"missing"}));
  EXPECT_ERROR(value, "PROCESS_START_FAILED");
  EXPECT_FALSE(value.error().retryable);
}

TEST_F(ProcessRunTest, Exit_UnexpectedCode_IsTransientWithTheEndOfStandardError) {
  const auto value = Run("process.run", Shell("echo first >&2; echo the reason >&2; printf out; exit 3"));
  EXPECT_ERROR(value, "TRANSIENT_STEP_ERROR");
  EXPECT_TRUE(value.error().retryable);
  EXPECT_EQ(value.error().Detail("exitCode"), "3");
  EXPECT_EQ(value.error().Detail("category"), "PLATFORM");
  EXPECT_EQ(value.error().Detail("engineAttemptId"), "1");
  EXPECT_NE(value.error().message.find("the reason"), std::string::npos);
  const Json refs = ParseJson(value.error().Detail("artifactRefs")).value();
  EXPECT_EQ(Artifact(refs.AsArray().at(0)), "out");
  EXPECT_EQ(Artifact(refs.AsArray().at(1)), "first\nthe reason\n");
}

TEST_F(ProcessRunTest, Exit_ExpectedCodes) {
  Json params = Shell("exit 3");
  params.Set("expectExit", Json(Json::Array{0, 3}));
  const auto value = Run("process.run", params);
  ASSERT_TRUE(value.has_value());
  EXPECT_EQ(value->Find("result")->GetInt("exitCode"), 3);
  Json other = Shell("exit 0");
  other.Set("expectExit", Json(Json::Array{3}));
  EXPECT_ERROR(Run("process.run", other), "TRANSIENT_STEP_ERROR");
}

TEST_F(ProcessRunTest, Exit_BySignal_IsTransient) {
  const auto value = Run("process.run", Shell("kill -9 $$"));
  EXPECT_ERROR(value, "TRANSIENT_STEP_ERROR");
  EXPECT_EQ(value.error().Detail("signal"), "9");
}

TEST_F(ProcessRunTest, Error_LongStandardError_StaysWithinTheMessageLimit) {
  const auto value =
      Run("process.run", Shell("i=0; while [ $i -lt 2000 ]; do echo \"line $i\" >&2; i=$((i+1)); done; exit 1"));
  EXPECT_ERROR(value, "TRANSIENT_STEP_ERROR");
  EXPECT_LE(value.error().message.size(), kMaxErrorMessageBytes);
  EXPECT_NE(value.error().message.find("line 1999"), std::string::npos);
  EXPECT_EQ(value.error().message.find("line 10\n"), std::string::npos);
}

TEST_F(ProcessRunTest, Error_BinaryStandardError_BecomesText) {
  const auto value = Run("process.run", Shell("printf 'a\\377\\001b' >&2; exit 1"));
  EXPECT_NE(value.error().message.find("a??b"), std::string::npos) << value.error().message;
}

TEST_F(ProcessRunTest, Output_LargeAndOnBothStreams_ArrivesWhole) {
  const auto value = Run("process.run", Shell("head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2"));
  // `head` is found through the shell's built-in path.
  ASSERT_TRUE(value.has_value()) << value.error().message;
  EXPECT_EQ(value->Find("result")->Find("stdout")->GetInt("sizeBytes"), 3000000);
  EXPECT_EQ(value->Find("result")->Find("stderr")->GetInt("sizeBytes"), 3000000);
  EXPECT_EQ(value->Find("result")->Find("stdoutText"), nullptr);
}

TEST_F(ProcessRunTest, Output_PastTheBound_EndsTheProgram) {
  services_.configuration.processes.max_output_bytes = 10000;
  const auto value = Run("process.run", Shell("while :; do echo 0123456789; done"));
  EXPECT_ERROR(value, "PROCESS_OUTPUT_TOO_LARGE");
  EXPECT_FALSE(value.error().retryable);
  const Json refs = ParseJson(value.error().Detail("artifactRefs")).value();
  EXPECT_EQ(refs.AsArray().at(0).GetInt("sizeBytes"), 10000);
}

TEST_F(ProcessRunTest, WorkingDirectory_DefaultIsFreshAndRemoved) {
  const auto value = Run("process.run", Shell("touch file; pwd; ls -A"));
  ASSERT_TRUE(value.has_value());
  const std::string out = value->Find("result")->GetString("stdoutText");
  const std::string folder = out.substr(0, out.find('\n'));
  EXPECT_EQ(out, folder + "\nfile\n");
  EXPECT_FALSE(fs::exists(folder));
}

TEST_F(ProcessRunTest, WorkingDirectory_DefaultIsRemovedAfterAFailure) {
  const auto value = Run("process.run", Shell("touch file; pwd >&2; exit 1"));
  const std::string& message = value.error().message;
  const std::string folder = message.substr(message.find('\n') + 1);
  EXPECT_FALSE(fs::exists(folder.substr(0, folder.find('\n'))));
}

TEST_F(ProcessRunTest, WorkingDirectory_InsideARoot_IsUsedAndKept) {
  for (const std::string& cwd : {PathText("work/inner"), std::string("inner"), std::string("inner/../inner")}) {
    Json params = Shell("pwd -P; touch kept");
    params.Set("cwd", cwd);
    const auto value = Run("process.run", std::move(params));
    ASSERT_TRUE(value.has_value()) << value.error().message;
    EXPECT_EQ(value->Find("result")->GetString("stdoutText"), fs::canonical(Path("work/inner")).string() + "\n");
  }
  EXPECT_TRUE(fs::exists(Path("work/inner/kept")));
}

TEST_F(ProcessRunTest, WorkingDirectory_OutsideTheRoots_IsRefused) {
  fs::create_directories(Path("workother"));
  fs::create_directory_symlink("/", Path("work/link"));
  std::ofstream(Path("work/file")) << "x";
  for (const std::string& cwd : {std::string("/"), std::string(".."), PathText("workother"), std::string("link"),
                                 std::string("link/tmp"), std::string("nowhere"), std::string("file")}) {
    Json params = Shell("exit 0");
    params.Set("cwd", cwd);
    EXPECT_ERROR(Run("process.run", std::move(params)), "WORKING_DIRECTORY_NOT_ALLOWED") << cwd;
  }
  services_.configuration.processes.roots.clear();
  Json params = Shell("exit 0");
  params.Set("cwd", PathText("work"));
  EXPECT_ERROR(Run("process.run", std::move(params)), "WORKING_DIRECTORY_NOT_ALLOWED");
}

TEST_F(ProcessRunTest, Artifacts_MatchingFilesAreCollectedInSortedOrder) {
  Json params = Shell(
      "mkdir -p out/deep; printf b > out/b.csv; printf a > out/a.csv; printf c > out/deep/c.csv; printf n > out/n.txt");
  params.Set("artifacts", Strings({"out/**/*.csv", "out/a.csv"}));
  const auto value = Run("process.run", std::move(params));
  ASSERT_TRUE(value.has_value()) << value.error().message;
  const Json::Array& files = value->Find("result")->Find("artifacts")->AsArray();
  ASSERT_EQ(files.size(), 3u);
  EXPECT_EQ(files[0].GetString("path"), "out/a.csv");
  EXPECT_EQ(files[1].GetString("path"), "out/b.csv");
  EXPECT_EQ(files[2].GetString("path"), "out/deep/c.csv");
  EXPECT_EQ(Artifact(files[2]), "c");
  EXPECT_EQ(ArtifactOfKind(*value, "file:out/a.csv"), "a");
}

TEST_F(ProcessRunTest, Artifacts_MissingFile_FailsTheStepAndNamesIt) {
  Json params = Shell("printf said");
  params.Set("artifacts", Strings({"*.log", "report.csv"}));
  const auto value = Run("process.run", std::move(params));
  EXPECT_ERROR(value, "ARTIFACT_MISSING");
  EXPECT_NE(value.error().message.find("report.csv"), std::string::npos);
  EXPECT_FALSE(value.error().Detail("artifactRefs").empty());
}

TEST_F(ProcessRunTest, Artifacts_LinkOutOfTheDirectory_IsRefused) {
  Json params = Shell("ln -s /etc/passwd stolen");
  params.Set("artifacts", Strings({"*"}));
  EXPECT_ERROR(Run("process.run", std::move(params)), "ARTIFACT_PATH_ESCAPES");
}

TEST_F(ProcessRunTest, Artifacts_FileAboveTheBound_IsTooLarge) {
  services_.configuration.processes.max_artifact_bytes = 2048;
  Json params = Shell("head -c 4096 /dev/zero > big");
  params.Set("artifacts", Strings({"big"}));
  const auto value = Run("process.run", std::move(params));
  EXPECT_ERROR(value, "ARTIFACT_TOO_LARGE");
  EXPECT_NE(value.error().message.find("`big`"), std::string::npos);
}

TEST_F(ProcessRunTest, Artifacts_NotCollectedAfterAFailure) {
  Json params = Shell("printf x > out.csv; exit 1");
  params.Set("artifacts", Strings({"out.csv"}));
  const auto value = Run("process.run", std::move(params));
  EXPECT_EQ(ParseJson(value.error().Detail("artifactRefs"))->AsArray().size(), 1u);
}

TEST_F(ProcessRunTest, Params_WrongShapes_NameTheirPlace) {
  const auto path_of = [this](Json params) {
    const auto value = Run("process.run", std::move(params));
    EXPECT_ERROR(value, "INVALID_STEP_SCHEMA");
    return value.has_value() || value.error().issues.empty() ? std::string() : value.error().issues.front().path;
  };
  EXPECT_EQ(path_of(Json::MakeObject()), "params.argv");
  EXPECT_EQ(path_of(Json::MakeObject({{"argv", "sh"}})), "params.argv");
  EXPECT_EQ(path_of(Json::MakeObject({{"argv", Json::MakeArray()}})), "params.argv");
  EXPECT_EQ(path_of(Json::MakeObject({{"argv", Json(Json::Array{"sh", 1})}})), "params.argv[1]");
  EXPECT_EQ(path_of(Json::MakeObject({{"argv", Json(Json::Array{"sh", std::string("a\0b", 3)})}})), "params.argv[1]");
  EXPECT_TRUE(path_of(Shell("x").Set("env", Json::MakeObject({{"A=B", "x"}}))).starts_with("params"));
  EXPECT_EQ(path_of(Shell("x").Set("env", Json::MakeObject({{"A", 1}}))), "params.env.A");
  EXPECT_EQ(path_of(Shell("x").Set("expectExit", Json(Json::Array{256}))), "params.expectExit[0]");
  EXPECT_EQ(path_of(Shell("x").Set("expectExit", Json::MakeArray())), "params.expectExit");
  EXPECT_EQ(path_of(Shell("x").Set("artifacts", Strings({"../x"}))), "params.artifacts[0]");
  EXPECT_EQ(path_of(Shell("x").Set("artifacts", Strings({"ok", "/etc/passwd"}))), "params.artifacts[1]");
  EXPECT_EQ(path_of(Shell("x").Set("shell", true)), "params.shell");
  EXPECT_EQ(path_of(Shell("x").Set("stdin", 1)), "params.stdin");
}

TEST_F(ProcessRunTest, Cancel_SendsSigtermToTheProgram) {
  const std::string script =
      "trap 'echo got term; exit 0' TERM; echo $$ > " + PathText("pid") + "; while :; do sleep 0.05; done";
  const auto value = RunAndCancel("process.run", Shell(script), [this] { return PidIn("pid") > 0; });
  EXPECT_ERROR(value, "CANCELLED");
  EXPECT_FALSE(value.error().retryable);
  EXPECT_EQ(Artifact(ParseJson(value.error().Detail("artifactRefs"))->AsArray().at(0)), "got term\n");
}

TEST_F(ProcessRunTest, Cancel_KillsAProgramThatIgnoresSigterm) {
  services_.configuration.processes.kill_grace_ms = 50;
  const std::string script = "trap '' TERM; echo $$ > " + PathText("pid") + "; while :; do sleep 0.05; done";
  const auto value = RunAndCancel("process.run", Shell(script), [this] { return PidIn("pid") > 0; });
  EXPECT_ERROR(value, "CANCELLED");
  EXPECT_TRUE(Eventually([this] { return IsGone(PidIn("pid")); }));
}

TEST_F(ProcessRunTest, Cancel_ReachesTheWholeProcessGroup) {
  const std::string script =
      "sleep 1000 & echo $! > " + PathText("child") + "; echo $$ > " + PathText("pid") + "; wait";
  const auto value = RunAndCancel("process.run", Shell(script), [this] { return PidIn("pid") > 0; });
  EXPECT_ERROR(value, "CANCELLED");
  const pid_t child = PidIn("child");
  EXPECT_TRUE(Eventually([child] { return IsGone(child); }));
}

TEST_F(ProcessRunTest, Cancel_BeforeTheStart_RunsNothing) {
  context_.Cancel();
  EXPECT_ERROR(Run("process.run", Shell("touch " + PathText("ran"))), "CANCELLED");
  EXPECT_FALSE(fs::exists(Path("ran")));
}

TEST_F(ProcessRunTest, Exit_LeavesNoBackgroundProcessBehind) {
  const auto value = Run("process.run", Shell("sleep 1000 & echo $! > " + PathText("child") + "; echo done"));
  ASSERT_TRUE(value.has_value());
  EXPECT_EQ(value->Find("result")->GetString("stdoutText"), "done\n");
  const pid_t child = PidIn("child");
  EXPECT_TRUE(Eventually([child] { return IsGone(child); }));
}

TEST_F(ProcessRunTest, Timeout_OfTheAttempt_EndsTheProgram) {
  context_.info_value.start_to_close_ms = 100;
  const auto value = Run("process.run", Shell("sleep 1000"));
  EXPECT_ERROR(value, "STEP_TIMEOUT");
  EXPECT_TRUE(value.error().retryable);
  EXPECT_EQ(value.error().Detail("category"), "TIMEOUT");
}

TEST_F(ProcessRunTest, Heartbeats_WhileItRuns) {
  const auto value =
      RunAndCancel("process.run", Shell("sleep 1000"), [this] { return context_.heartbeat_count() > 0; });
  EXPECT_ERROR(value, "CANCELLED");
}

TEST_F(ProcessRunTest, NothingLeaks_DescriptorsAndZombies) {
  Run("process.run", Shell("exit 0"));  // what the process opens once
  const size_t before = OpenDescriptors();
  Run("process.run", Shell("printf x"));
  Run("process.run", Shell("exit 1"));
  Run("process.run", Params({"missing"}));
  Run("process.run", Params({"ls"}));
  EXPECT_EQ(OpenDescriptors(), before);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST_F(ProcessRunTest, Descriptors_OfTheWorker_AreNotInherited) {
  const Descriptor careless(::open("/dev/null", O_RDONLY));  // without close-on-exec
  const auto value = Run("process.run", Shell("ls /proc/self/fd | wc -l"));
  ASSERT_TRUE(value.has_value());
  // 0, 1, 2 and the one `ls` reads the directory with.
  EXPECT_EQ(std::stoi(value->Find("result")->GetString("stdoutText")), 4);
}

TEST_F(ProcessRunTest, Signals_BlockedOrIgnoredInTheWorker_AreStandardInTheProgram) {
  sigset_t blocked, old;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGUSR1);
  ::sigprocmask(SIG_BLOCK, &blocked, &old);
  const auto previous = ::signal(SIGUSR1, SIG_IGN);
  const auto value = Run("process.run", Shell("kill -USR1 $$; echo survived"));
  ::signal(SIGUSR1, previous);
  ::sigprocmask(SIG_SETMASK, &old, nullptr);
  EXPECT_ERROR(value, "TRANSIENT_STEP_ERROR");
  EXPECT_EQ(value.error().Detail("signal"), std::to_string(SIGUSR1));
}

TEST_F(ProcessRunTest, WorkerDeath_KillsTheProgram) {
  const pid_t worker = ::fork();
  ASSERT_GE(worker, 0);
  if (worker == 0) {
    ::setenv("TMPDIR", directory_.path().c_str(), 1);  // what the killed worker leaves goes with the fixture
    Run("process.run", Shell("echo $$ > " + PathText("pid") + "; exec sleep 1000"));
    ::_exit(0);
  }
  const pid_t program = PidIn("pid");
  ::kill(worker, SIGKILL);
  ::waitpid(worker, nullptr, 0);
  EXPECT_TRUE(Eventually([program] { return IsGone(program); }));
}

TEST_F(ProcessRunTest, ConcurrentRuns_DoNotHoldOneAnothersPipesOpen) {
  std::vector<std::thread> threads;
  std::atomic<int> succeeded{0};
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      testing::FakeActivityContext context;
      const Json input = Input("process.run", Shell("echo " + std::to_string(i)));
      const auto value = ExecuteStep(context, Json::Array{input}, services_);
      if (value && value->Find("result")->GetString("stdoutText") == std::to_string(i) + "\n") ++succeeded;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(succeeded, 8);
}

TEST_F(ProcessRunTest, StoreFailure_EndsTheProgramAndIsRetryable) {
  class Broken final : public artifacts::IArtifactStore {
    class Writer final : public artifacts::ArtifactWriter {
      Status Write(std::string_view) override { return Fail("ARTIFACT_STORE_UNAVAILABLE", "disk gone", true); }
      uint64_t size() const override { return 0; }
      Result<artifacts::ArtifactRef> Commit(std::string_view) override {
        return Fail("ARTIFACT_STORE_UNAVAILABLE", "disk gone", true);
      }
    };
    Result<std::unique_ptr<artifacts::ArtifactWriter>> Create(uint64_t) override { return std::make_unique<Writer>(); }
    Result<std::unique_ptr<artifacts::ArtifactReader>> Open(std::string_view) override {
      return Fail("ARTIFACT_NOT_FOUND", "");
    }
  };
  services_.artifacts = std::make_shared<Broken>();
  const auto value = Run("process.run", Shell("while :; do echo x; done"));
  EXPECT_ERROR(value, "ARTIFACT_STORE_UNAVAILABLE");
  EXPECT_TRUE(value.error().retryable);
  EXPECT_EQ(value.error().Detail("category"), "PLATFORM");
}

}  // namespace
}  // namespace lockstep::steps
