#include "cli/check_watch.hpp"

#include "cli/live_screen.hpp"
#include "cli/texts.hpp"
#include "tests/cluster/sample_facts.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace lockstep {
namespace {

using Kind = WatchEvent::Kind;

const Terminal k_plain(false, false);

Finding finding(const std::string& id, Severity severity = Severity::warning) {
    return {id, severity, "n2", "", "something about " + id, "", ""};
}

CheckResult looked(std::vector<Finding> findings) {
    CheckResult result;
    result.cluster = "orders";
    result.facts = healthy_cluster("4.0.7");
    result.findings = std::move(findings);
    return result;
}

CheckResult failed(const std::string& error) {
    CheckResult result;
    result.cluster = "orders";
    result.error = error;
    return result;
}

std::vector<Kind> kinds(const std::vector<WatchEvent>& events) {
    std::vector<Kind> found;
    std::ranges::transform(events, std::back_inserter(found), &WatchEvent::kind);
    return found;
}

TEST(WatchLog, TellsWhatAppearsAndWhatIsGone) {
    WatchLog log;
    EXPECT_EQ(kinds(log.take({looked({finding("disk.low")})})), (std::vector{Kind::appeared}));
    EXPECT_TRUE(log.take({looked({finding("disk.low")})}).empty());
    const auto events = log.take({looked({finding("slot.stuck")})});
    ASSERT_EQ(kinds(events), (std::vector{Kind::gone, Kind::appeared}));
    EXPECT_EQ(events[0].finding.id, "disk.low");
    EXPECT_EQ(events[1].finding.id, "slot.stuck");
    EXPECT_EQ(to_json(events[1])["event"], "finding_appeared");
    EXPECT_EQ(to_json(events[0])["finding"]["id"], "disk.low");
}

TEST(WatchLog, TellsAFindingThatGetsWorse) {
    WatchLog log;
    (void)log.take({looked({finding("disk.low")})});
    EXPECT_EQ(kinds(log.take({looked({finding("disk.low", Severity::critical)})})),
              (std::vector{Kind::gone, Kind::appeared}));
}

TEST(WatchLog, KeepsFindingsThatNobodyCanSeeAnyMore) {
    WatchLog log;
    (void)log.take({looked({finding("disk.low")})});
    const auto events = log.take({failed("no endpoint answers")});
    ASSERT_EQ(kinds(events), (std::vector{Kind::failed}));
    EXPECT_EQ(to_json(events[0])["event"], "observation_failed");
    EXPECT_EQ(to_json(events[0])["error"], "no endpoint answers");
    EXPECT_TRUE(log.take({failed("no endpoint answers")}).empty());
    EXPECT_EQ(kinds(log.take({looked({finding("disk.low")})})), (std::vector{Kind::back}));
}

TEST(WatchLog, TellsWhatMembersTurnInto) {
    WatchLog log;
    EXPECT_TRUE(log.take({looked({})}).empty());
    CheckResult now = looked({});
    now.facts.leader = "n2";
    now.facts.find("n3")->state = "starting";
    const auto events = log.take({now});
    ASSERT_EQ(kinds(events), (std::vector{Kind::changed, Kind::changed}));
    EXPECT_NE(event_line(events[0], true, k_plain).find("orders: leader n1 -> n2"),
              std::string::npos);
    EXPECT_NE(event_line(events[1], false, k_plain).find("orders: n3: state streaming -> starting"),
              std::string::npos);
    EXPECT_TRUE(event_line(events[0], true, k_plain).starts_with("> "));
}

TEST(WatchLog, KeepsClustersApart) {
    WatchLog log;
    CheckResult other = looked({});
    other.cluster = "billing";
    (void)log.take({looked({finding("disk.low")}), other});
    other.findings = {finding("disk.low")};
    const auto events = log.take({looked({finding("disk.low")}), other});
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].cluster, "billing");
}

TEST(WatchSample, HasTheNumbersOfEveryMember) {
    const nlohmann::json sample = sample_event(looked({}));
    EXPECT_EQ(sample["event"], "sample");
    EXPECT_EQ(sample["status"], "ok");
    ASSERT_EQ(sample["members"].size(), 3U);
    EXPECT_EQ(sample["members"][1]["wal_bytes"], 4 * (16 << 20));
    EXPECT_EQ(sample["members"][1]["stuck"], 0);
    EXPECT_TRUE(sample["members"][1]["wal_growth_bytes_per_second"].is_null());
}

TEST(LiveScreen, DrawsOverWhatWasThere) {
    EXPECT_EQ(frame("one\ntwo\n", 10), "\033[?2026h\033[Hone\033[K\r\ntwo\033[K\033[J\033[?2026l");
}

TEST(LiveScreen, CutsWhatDoesNotFit) {
    const std::string sent = frame("1\n2\n3\n4\n5\n", 3);
    EXPECT_NE(sent.find("2\033[K\r\n... and 3 more lines"), std::string::npos);
    EXPECT_EQ(std::ranges::count(sent, '\n'), 2);
}

TEST(CheckAll, CountsACriticalMoreThanOneThatCannotBeSeen) {
    EXPECT_EQ(worst(std::vector<CheckResult>{}), CheckStatus::ok);
    EXPECT_EQ(worst({looked({finding("disk.low")}), failed("x")}), CheckStatus::unknown);
    EXPECT_EQ(worst({looked({finding("disk.low", Severity::critical)}), failed("x")}),
              CheckStatus::critical);
}

TEST(CheckAll, HasALineForAllOneEachAndTheFindings) {
    CheckResult billing = failed("no endpoint of the cluster answers");
    billing.cluster = "billing";
    const std::string text =
        check_all_text({looked({finding("disk.low", Severity::critical)}), billing}, k_plain);
    EXPECT_TRUE(text.starts_with("CRITICAL - 2 clusters: 1 critical, 1 unknown\n\n")) << text;
    EXPECT_NE(text.find("\n  CRITICAL - orders: disk.low on n2, leader n1"), std::string::npos);
    EXPECT_NE(text.find("\n  UNKNOWN - billing: no endpoint"), std::string::npos);
    EXPECT_NE(text.find("\norders\n  CRITICAL  disk.low  n2\n"), std::string::npos);
    const nlohmann::json document = to_json({looked({}), billing});
    EXPECT_EQ(document["status"], "unknown");
    EXPECT_EQ(document["clusters"][0]["status"], "ok");
    EXPECT_EQ(document["clusters"][1]["error"], "no endpoint of the cluster answers");
}

}  // namespace
}  // namespace lockstep
