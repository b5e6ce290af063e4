#include "base/error.hpp"
#include "cli/output_file.hpp"
#include "cli/texts.hpp"
#include "tests/cluster/sample_facts.hpp"
#include "tests/golden/golden_text.hpp"
#include "tests/transport/temp_dir.hpp"

#include <gtest/gtest.h>

#include <sys/stat.h>

#include <filesystem>
#include <map>
#include <regex>
#include <set>

namespace lockstep {
namespace {

using namespace std::chrono_literals;

/// Why a text is not in the exposition format 0.0.4 as a strict reader takes it; empty: it is.
/// HELP, then TYPE, then the samples of that family, no family twice, no series twice.
std::string mistake_in(const std::string& text) {
    static const std::regex k_comment(R"(# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+))");
    static const std::regex k_label(
        R"RE(([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)")RE");
    static const std::regex k_sample(
        R"RE(([a-zA-Z_:][a-zA-Z0-9_:]*)\{(.*)\} (-?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?))RE");
    if (!text.ends_with("\n")) {
        return "the last line has no end";
    }
    std::set<std::string> families;
    std::set<std::string> series;
    std::string family;
    std::string expects = "HELP";
    for (const std::string& line : golden::lines_of(text)) {
        std::smatch match;
        if (line.starts_with("#")) {
            if (!std::regex_match(line, match, k_comment)) {
                return "no comment: " + line;
            }
            const bool help = match[1] == "HELP";
            if (help ? expects == "TYPE" || !families.insert(match[2]).second
                     : expects != "TYPE" || match[2] != family || match[3] != "gauge") {
                return "not here: " + line;
            }
            family = match[2];
            expects = help ? "TYPE" : "sample";
            continue;
        }
        if (!std::regex_match(line, match, k_sample) || expects == "TYPE" || match[1] != family ||
            !series.insert(match[1].str() + match[2].str()).second) {
            return "no sample of " + family + ": " + line;
        }
        std::string rest = match[2];
        std::set<std::string> names;
        while (!rest.empty()) {
            std::smatch label;
            if (!std::regex_search(rest, label, k_label, std::regex_constants::match_continuous) ||
                !names.insert(label[1]).second) {
                return "no labels: " + line;
            }
            rest = label.suffix();
            if (rest.starts_with(",") && rest.size() > 1) {
                rest.erase(0, 1);
            } else if (!rest.empty()) {
                return "no labels: " + line;
            }
        }
        expects = "HELP or sample";
    }
    return expects == "HELP or sample" ? "" : "ends after " + expects;
}

CheckResult orders() {
    CheckResult result;
    result.cluster = "orders";
    result.facts = healthy_cluster("4.0.7");
    result.at = Clock::Wall{} + 1795646784s + 250ms;
    result.took = 480ms;
    MemberFacts& member = *result.facts.find("n2");
    member.lag_bytes = 4096;
    member.wal->growth_per_second = 1048576.5;
    member.slots->front().stuck = true;
    member.slots->front().retained_bytes = 268435456;
    member.ssh.error = "refused";
    result.findings = diagnose(result.facts, Cluster{});
    return result;
}

TEST(PrometheusText, IsAsRecorded) {
    CheckResult unseen;
    unseen.cluster = "billing";
    unseen.error = "no endpoint of the cluster answers";
    unseen.at = Clock::Wall{} + 1795646785s;
    unseen.took = 15s;
    const std::string text = prometheus_text({orders(), unseen});
    golden::expect_text("check_prometheus", text);
    EXPECT_EQ(mistake_in(text), "");
}

TEST(PrometheusText, EscapesWhatOthersNamed) {
    CheckResult result = orders();
    result.findings = {{"slot.stuck", Severity::critical, "n\"2", "a\\b\nc\xff", "", "", ""}};
    const std::string text = prometheus_text({result});
    EXPECT_EQ(mistake_in(text), "");
    EXPECT_NE(text.find("member=\"n\\\"2\",subject=\"a\\\\b\\nc\xEF\xBF\xBD\""), std::string::npos)
        << text;
}

TEST(PrometheusText, HasNothingThatATerminalObeys) {
    CheckResult result = orders();
    result.findings = {
        {"slot.stuck", Severity::critical, "n\x1b[2J\x07", "a\u202Eb\tc\rd", "", "", ""}};
    const std::string text = prometheus_text({result});
    EXPECT_EQ(mistake_in(text), "");
    EXPECT_NE(text.find("member=\"n?[2J?\",subject=\"a?b?c?d\""), std::string::npos) << text;
}

TEST(PrometheusText, HasNoSeriesTwice) {
    CheckResult result = orders();
    result.findings.push_back(result.findings.front());
    EXPECT_EQ(mistake_in(prometheus_text({result})), "");
}

TEST(PrometheusText, IsCheckedByAReaderThatFindsMistakes) {
    const std::string good = "# HELP a x\n# TYPE a gauge\na{b=\"c\"} 1\n";
    EXPECT_EQ(mistake_in(good), "");
    EXPECT_NE(mistake_in(good + "a{b=\"c\"} 2\n"), "");
    EXPECT_NE(mistake_in(good + "b{b=\"c\"} 2\n"), "");
    EXPECT_NE(mistake_in(good + "a{b=\"c\"d\"} 2\n"), "");
    EXPECT_NE(mistake_in(good + "a{b=\"\\x\"} 2\n"), "");
    EXPECT_NE(mistake_in(good + "a{b=\"1\",} 2\n"), "");
    EXPECT_NE(mistake_in(good + "a{b=\"1\",b=\"2\"} 2\n"), "");
    EXPECT_NE(mistake_in(good + "a{b=\"1\"} x\n"), "");
    EXPECT_NE(mistake_in(good + "# HELP a x\n# TYPE a gauge\na{b=\"d\"} 1\n"), "");
    EXPECT_NE(mistake_in("# HELP a x\n# TYPE a gauge\n"), "");
    EXPECT_NE(mistake_in("a{b=\"c\"} 1\n"), "");
    EXPECT_NE(mistake_in("# HELP a x\n# TYPE a gauge\na{b=\"c\"} 1"), "");
}

TEST(OutputFile, IsReplacedWholeAndReadableForAll) {
    const TempDir dir;
    const std::string path = dir.write("lockstep.prom", "old and longer than the new one\n");
    write_whole_file(path, "new\n");
    EXPECT_EQ(read_file(path), "new\n");

    struct stat about {};

    ASSERT_EQ(::stat(path.c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 0777U, 0644U);
    // Nothing else is left, and a reader of the old one keeps the old one.
    const std::filesystem::directory_iterator entries(dir.path(""));
    EXPECT_EQ(std::distance(begin(entries), end(entries)), 1);
}

TEST(OutputFile, SaysWhyItCannotBeWritten) {
    const TempDir dir;
    EXPECT_THROW(write_whole_file(dir.path("missing") + "/a.prom", "x"), Error);
}

}  // namespace
}  // namespace lockstep
