#include "steps/actions/daemon_word.hpp"

#include "base/shell_quote.hpp"
#include "tests/fakes/fake_cluster.hpp"
#include "tests/fakes/fake_tools.hpp"

#include <gtest/gtest.h>

#include <signal.h>

#include <cstdlib>

namespace lockstep {
namespace {

using Json = nlohmann::json;

/// A Patroni on this machine, of Python as the real one, that says what a file says; and the unit
/// whose process it is.
constexpr const char* k_patroni = R"py(
import json, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
folder = sys.argv[0].rsplit("/", 1)[0]
class Api(BaseHTTPRequestHandler):
    def do_GET(self):
        said = json.load(open(folder + "/status.json"))
        self.send_response(said.pop("leader", 200) if self.path == "/leader" else 200)
        self.end_headers()
        self.wfile.write(json.dumps(said).encode())
    def log_message(self, *args):
        pass
server = None if "idle" in sys.argv else HTTPServer(("127.0.0.1", 0), Api)
open(folder + "/up", "w").close()
while server is None:
    time.sleep(60)
server.serve_forever()
)py";

class DaemonsWord : public testing::Test {
  protected:
    void SetUp() override {
        if (on.run("python3 -c 'import yaml'").exit_status != 0) {
            GTEST_SKIP() << "needs python3 with yaml";
        }
        write("patroni.py", k_patroni);
        write("patroni.yml", "name: n2\nscope: orders\nrestapi: {listen: '127.0.0.1:1'}\n");
        says(status());
    }

    void TearDown() override {
        if (pid > 0) {
            ::kill(pid, SIGKILL);
        }
    }

    /// Waits until it listens, or idles.
    void starts(const std::string& more = "") {
        const std::string said =
            on.run("cd " + shell_quote(on.path(".")) + " && rm -f up\npython3 " +
                   shell_quote(on.path("patroni.py")) + " " + shell_quote(on.path("patroni.yml")) +
                   " " + more +
                   " </dev/null >/dev/null 2>&1 &\necho $!\n"
                   "for i in $(seq 500); do [ -e " +
                   shell_quote(on.path("up")) + " ] && exit; sleep 0.02; done")
                .out;
        pid = std::atoi(said.c_str());
        ASSERT_GT(pid, 0) << said;
        unit_runs(std::to_string(pid));
    }

    void unit_runs(const std::string& main_pid) const {
        on.has("systemctl", "echo MainPID=" + main_pid);
    }

    void write(const std::string& name, const std::string& text) const {
        std::ofstream(on.path(name)) << text;
    }

    void says(const Json& status) const { write("status.json", status.dump()); }

    static Json status() {
        return {{"state", "running"},
                {"pause", true},
                {"database_system_identifier", "7711291720471441498"},
                {"patroni", {{"version", "4.0.7"}, {"scope", "orders"}, {"name", "n2"}}}};
    }

    /// Why it is refused; empty: the script went on.
    std::string refusal(DaemonMust must = DaemonMust::be_paused) const {
        FakeCluster world;
        const ClusterFacts facts = world.observe();
        std::string script = ask_daemon_script(*facts.find("n2"), facts, world.cluster, must);
        script = replaced(script, "/run/systemd/system", on.path("."));
        script = replaced(script, "\"/patroni\", 5)", "\"/patroni\", 0.3)");
        const CommandResult result = on.run(script + "echo went-on\n");
        if (result.out == "went-on\n" && result.exit_status == 0) {
            return {};
        }
        const auto refused = refused_by_daemon("n2", result, "x was not done");
        EXPECT_EQ(result.out.find("went-on"), std::string::npos);
        if (!refused) {
            ADD_FAILURE() << result.exit_status << ": " << result.out;
            return "neither";
        }
        const std::string& message = refused->message;
        return message.substr(message.find("own host: ") + 10);
    }

    FakeTools on;
    pid_t pid = 0;
};

TEST_F(DaemonsWord, LetsThroughWhatIsPausedAndItself) {
    starts();
    EXPECT_EQ(refusal(), "");
    EXPECT_EQ(refusal(DaemonMust::be_paused_or_silent), "");
    EXPECT_EQ(refusal(DaemonMust::hold_the_lock), "");
}

TEST_F(DaemonsWord, ThatItIsNotPausedCountsWhateverAnybodyElseSays) {
    starts();
    Json unpaused = status();
    unpaused.erase("pause");
    says(unpaused);
    for (const DaemonMust must :
         {DaemonMust::be_paused, DaemonMust::be_paused_or_silent, DaemonMust::hold_the_lock}) {
        EXPECT_EQ(refusal(must), "it is not paused");
    }
    EXPECT_EQ(refusal(DaemonMust::lead_anyhow), "");
    unpaused["leader"] = 503;
    says(unpaused);
    EXPECT_EQ(refusal(DaemonMust::lead_anyhow), "it does not hold the leader lock");
    unpaused.erase("leader");
    unpaused["pause"] = "no";
    says(unpaused);
    EXPECT_EQ(refusal(), "it is not paused");
}

TEST_F(DaemonsWord, ThatItIsSomebodyElseRefuses) {
    starts();
    for (const auto& [key, value, why] :
         {std::tuple("name", "n3", "it is not n2: its name is n3"),
          std::tuple("scope", "billing", "it is not orders: its scope is billing")}) {
        Json other = status();
        other["patroni"][key] = value;
        says(other);
        EXPECT_EQ(refusal(), why);
    }
    Json other = status();
    other["database_system_identifier"] = "88";
    says(other);
    EXPECT_EQ(refusal(), "it is not 7711291720471441498: its system identifier is 88");
}

// Before 3.2 REST does not tell the name; the environment goes over the file.
TEST_F(DaemonsWord, IsOfWhomItsConfigurationNames) {
    Json old = status();
    old["patroni"].erase("name");
    says(old);
    write("patroni.yml", "name: n3\nscope: orders\n");
    starts();
    EXPECT_EQ(refusal(), "it is not n2: its name is n3");
    ::kill(pid, SIGKILL);
    ::setenv("PATRONI_NAME", "n2", 1);  // NOLINT(concurrency-mt-unsafe): one thread
    starts();
    ::unsetenv("PATRONI_NAME");  // NOLINT(concurrency-mt-unsafe)
    EXPECT_EQ(refusal(), "");
}

// The configuration was edited since it was started, or cannot be read: its own sockets count.
TEST_F(DaemonsWord, IsHeardWhereItListensAndNotWhereAFileSays) {
    starts();
    write("patroni.yml", "restapi: {listen: '127.0.0.1:9'}\n");
    EXPECT_EQ(refusal(), "");
    write("patroni.yml", "{ this is no YAML");
    EXPECT_EQ(refusal(), "");
}

TEST_F(DaemonsWord, IsNotWhatAnythingElseAnswers) {
    starts();
    says({{"state", "running"}, {"pause", true}});
    EXPECT_TRUE(refusal().starts_with("it does not answer: ")) << refusal();
}

TEST_F(DaemonsWord, IsMissingWhereItHangsAndThatIsEnoughForTheWayBackAlone) {
    starts();
    ::kill(pid, SIGSTOP);
    EXPECT_EQ(refusal(), "it does not answer: timed out");
    EXPECT_EQ(refusal(DaemonMust::be_paused_or_silent), "");
}

TEST_F(DaemonsWord, IsNotNeededOfOneThatDoesNotRun) {
    unit_runs("0");
    EXPECT_EQ(refusal(), "");
    EXPECT_EQ(refusal(DaemonMust::hold_the_lock), "it does not run");
    EXPECT_EQ(refusal(DaemonMust::lead_anyhow), "it does not run");
    on.has("systemctl", "exit 1");
    EXPECT_EQ(refusal(), "systemd does not tell its process");
}

TEST_F(DaemonsWord, IsNotNeededOfOneThatHasNotComeAsFarAsItsApi) {
    starts("idle");
    EXPECT_EQ(refusal(), "");
    EXPECT_EQ(refusal(DaemonMust::hold_the_lock), "its REST API is not there yet");
}

TEST_F(DaemonsWord, IsNotThatOfAUnitThatRunsSomethingElse) {
    const std::string other = on.run("sleep 60 </dev/null >/dev/null 2>&1 &\necho $!").out;
    unit_runs(std::to_string(std::atoi(other.c_str())));
    EXPECT_EQ(refusal(), "what its unit runs is no Patroni");
    ::kill(std::atoi(other.c_str()), SIGKILL);
}

TEST_F(DaemonsWord, ThatItHasTheLockIsWhatResumingWants) {
    starts();
    Json follower = status();
    follower["leader"] = 503;
    says(follower);
    EXPECT_EQ(refusal(), "");
    EXPECT_EQ(refusal(DaemonMust::hold_the_lock), "it does not hold the leader lock");
    Json unlocked = status();
    unlocked["cluster_unlocked"] = true;
    says(unlocked);
    EXPECT_EQ(refusal(DaemonMust::hold_the_lock), "it does not hold the leader lock");
}

}  // namespace
}  // namespace lockstep
