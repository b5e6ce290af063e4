#include "engine/knowledge/path_judgement.hpp"

#include "tests/cluster/sample_facts.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace lockstep {
namespace {

using Findings = std::vector<Finding>;

const Finding* find_row(const Findings& findings, const std::string& row) {
    const auto found = std::ranges::find(findings, row, &Finding::subject);
    return found == findings.end() ? nullptr : &*found;
}

/// A cluster of three that a plan takes from one version to another, a member at a time.
class PathJudgementTest : public testing::Test {
  protected:
    explicit PathJudgementTest(const std::string& version = "3.2.1")
        : start(healthy_cluster(version)) {}

    void begin() {
        now = start;
        path.emplace(shipped_knowledge(), start, start);
    }

    void pause(bool paused) {
        now.paused = paused;
        path->after(paused ? "pause" : "resume", now);
    }

    void bring(const std::string& member, const std::string& version) {
        now.find(member)->patroni.running = version;
        path->after("restart on " + member, now);
    }

    void offer(const std::vector<std::string>& versions) {
        for (MemberFacts& member : start.members) {
            member.patroni.available = versions;
        }
    }

    PathJudgement::Verdict upgrade(const std::string& version) {
        begin();
        pause(true);
        for (const char* member : {"n2", "n3", "n1"}) {
            bring(member, version);
        }
        pause(false);
        return path->conclude(now);
    }

    ClusterFacts start;
    ClusterFacts now;
    std::optional<PathJudgement> path;
};

TEST_F(PathJudgementTest, LetsABadPairPassThatNeedsTimeToDoDamage) {
    const PathJudgement::Verdict verdict = upgrade("4.0.2");
    EXPECT_TRUE(verdict.refusals.empty());
    const Finding* pair = find_row(verdict.advice, "member-slots-never-advance");
    ASSERT_NE(pair, nullptr);
    EXPECT_EQ(pair->severity, Severity::info);
    EXPECT_TRUE(pair->message.starts_with("after restart on n2, Patroni 4.0.2 on n2"));
    EXPECT_NE(pair->message.find("over when the run is"), std::string::npos);
}

TEST_F(PathJudgementTest, RefusesABadPairThatWouldStay) {
    begin();
    pause(true);
    bring("n2", "4.0.2");
    pause(false);
    const PathJudgement::Verdict verdict = path->conclude(now);
    ASSERT_EQ(verdict.refusals.size(), 1U);
    EXPECT_EQ(verdict.refusals[0].id, "patroni.known_bad_pair");
    EXPECT_EQ(verdict.refusals[0].member, "n2");
    EXPECT_TRUE(verdict.refusals[0].acceptable);
    EXPECT_NE(verdict.refusals[0].remedy.find(
                  "--accept patroni.known_bad_pair:member-slots-never-advance"),
              std::string::npos);
}

TEST_F(PathJudgementTest, HoldsNothingAgainstAPlanThatWasThereBefore) {
    start.find("n2")->patroni.running = "4.0.2";
    begin();
    pause(true);
    bring("n3", "3.2.1-2");
    pause(false);
    EXPECT_TRUE(path->conclude(now).refusals.empty());
}

TEST_F(PathJudgementTest, SaysOfATargetThatItIsHalfOfABadPair) {
    const auto half = [](const PathJudgement::Verdict& verdict) {
        const Finding* found = find_row(verdict.advice, "member-slots-never-advance");
        return found == nullptr ? "" : found->message;
    };
    // Mixed at the start, so that the pair itself is nothing new on the way.
    for (const char* replica : {"n2", "n3"}) {
        start.find(replica)->patroni.running = "4.0.2";
    }
    begin();
    pause(true);
    bring("n1", "4.0.2");
    pause(false);
    PathJudgement::Verdict verdict = path->conclude(now);
    EXPECT_TRUE(verdict.refusals.empty());
    EXPECT_TRUE(half(verdict).starts_with("4.0.2 is half of a bad pair with 3.2.1, which n1 runs"))
        << half(verdict);
    EXPECT_EQ(half(upgrade("4.0.7")), "");
    start = healthy_cluster("4.0.4");
    EXPECT_EQ(half(upgrade("4.0.7")), "");
}

TEST_F(PathJudgementTest, ForgivesWhatIsAboutAFailoverOnlyWhilePaused) {
    start = healthy_cluster("2.1.7");
    start.config["failsafe_mode"] = false;
    begin();
    pause(true);
    bring("n1", "4.0.7");
    bring("n2", "4.0.7");
    bring("n3", "4.0.7");
    pause(false);
    EXPECT_EQ(find_row(path->conclude(now).refusals, "two-under-four"), nullptr);
    begin();
    bring("n1", "4.0.7");
    bring("n2", "4.0.7");
    bring("n3", "4.0.7");
    const PathJudgement::Verdict unpaused = path->conclude(now);
    ASSERT_NE(find_row(unpaused.refusals, "two-under-four"), nullptr);
    EXPECT_TRUE(find_row(unpaused.refusals, "two-under-four")
                    ->message.starts_with("after restart on n1, "));
}

TEST_F(PathJudgementTest, RefusesATargetKnownToBeBadAndNamesABetterOne) {
    for (MemberFacts& member : start.members) {
        member.postgres.running = "16.4";
    }
    offer({"3.2.1-1", "4.0.3-1", "4.0.4-1", "4.0.7-1"});
    const PathJudgement::Verdict verdict = upgrade("4.0.3");
    ASSERT_EQ(verdict.refusals.size(), 1U);
    EXPECT_EQ(verdict.refusals[0].id, "patroni.known_issue");
    EXPECT_EQ(verdict.refusals[0].subject, "sslnegotiation-in-conninfo");
    EXPECT_EQ(verdict.refusals[0].source.substr(0, 12), "patroni#3206");
    EXPECT_TRUE(verdict.refusals[0].remedy.starts_with("Of the versions that the members can"));
    EXPECT_NE(verdict.refusals[0].remedy.find(" 4.0.4 has nothing"), std::string::npos);
    EXPECT_TRUE(upgrade("4.0.4").refusals.empty());
}

TEST_F(PathJudgementTest, TellsWhatChangesWithTheVersion) {
    const PathJudgement::Verdict verdict = upgrade("4.0.7");
    EXPECT_TRUE(verdict.refusals.empty());
    const Finding* scripts = find_row(verdict.advice, "master-is-primary");
    ASSERT_NE(scripts, nullptr);
    EXPECT_EQ(scripts->severity, Severity::warning);
    EXPECT_TRUE(scripts->member.empty());
    EXPECT_TRUE(scripts->message.starts_with("from Patroni 3.2.1 to 4.0.7, if scripts"));
    EXPECT_EQ(find_row(verdict.advice, "citus-secondaries"), nullptr) << "info that only asks";
}

TEST_F(PathJudgementTest, SaysOnceWhatCouldNotBeJudged) {
    const PathJudgement::Verdict verdict =
        upgrade("4.0.7");  // what the members were set up with is not known
    const Finding* open = find_row(verdict.advice, "not-judged");
    ASSERT_NE(open, nullptr);
    EXPECT_EQ(open->severity, Severity::info);
    EXPECT_NE(open->message.find("kubernetes-labels"), std::string::npos);
    EXPECT_EQ(find_row(verdict.advice, "kubernetes-labels"), nullptr);
    EXPECT_EQ(open->remedy, "Read them in `lockstep knowledge --for 3.2.1..4.0.7`.");
}

TEST_F(PathJudgementTest, RefusesTheChangeThatWouldTurnSynchronousReplicationOff) {
    start = healthy_cluster("4.0.7");
    start.config["synchronous_mode"] = "quorum";
    const PathJudgement::Verdict verdict = upgrade("3.3.11");
    EXPECT_NE(find_row(verdict.refusals, "quorum-under-three"), nullptr);
}

TEST_F(PathJudgementTest, JudgesAChangeInTheStateThatItIsMadeIn) {
    start = healthy_cluster("3.0.2");
    start.config["synchronous_mode"] = true;
    EXPECT_NE(find_row(upgrade("3.1.0").refusals, "pause-restart-drops-settings"), nullptr);
    begin();
    now.config["synchronous_mode"] = false;
    path->after("config", now);
    bring("n2", "3.1.0");
    EXPECT_EQ(find_row(path->conclude(now).refusals, "pause-restart-drops-settings"), nullptr);
}

TEST_F(PathJudgementTest, SaysNothingOfAPlanThatChangesNoVersion) {
    begin();
    pause(true);
    pause(false);
    const PathJudgement::Verdict verdict = path->conclude(now);
    EXPECT_TRUE(verdict.refusals.empty());
    EXPECT_TRUE(verdict.advice.empty());
    EXPECT_TRUE(path->was_paused());
}

/// Rows of their own, so that what is proposed depends on nothing else.
Knowledge rows_of(const std::string& text) {
    std::string file;
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = text.find(';', begin);
        file += "- {id: r" + std::to_string(begin) + ", " + text.substr(begin, end - begin) +
                ", severity: critical, symptom: s, remedy: r, source: x}\n";
        begin = end == std::string::npos ? text.size() : end + 1;
    }
    return parse_knowledge(file, "rows.yaml");
}

TEST(ProposeWay, PutsTheLeaderFirstWhereThatIsCleaner) {
    const ClusterFacts facts = healthy_cluster("3.2.1");
    EXPECT_NE(propose_way(rows_of("leader: < 4.0.0, replica: '>= 4.0.0'"), facts, "4.0.7")
                  .find("leader going first"),
              std::string::npos);
}

TEST(ProposeWay, GoesOverAVersionThatEveryMemberHas) {
    ClusterFacts facts = healthy_cluster("2.1.7");
    for (MemberFacts& member : facts.members) {
        member.patroni.available = {"4.0.7-1", "3.3.11-1", "2.1.7-1"};
    }
    const Knowledge rows = rows_of("member: < 3.0.0, beside: '>= 4.0.0'");
    EXPECT_NE(propose_way(rows, facts, "4.0.7")
                  .find("Go over 3.3.11: `lockstep run patroni-upgrade --set target=3.3.11`"),
              std::string::npos);
    facts.find("n3")->patroni.available = {"4.0.7-1"};
    EXPECT_EQ(propose_way(rows, facts, "4.0.7"), "");
}

TEST(ProposeWay, TakesTheNearestOtherTarget) {
    ClusterFacts facts = healthy_cluster("3.2.1");
    for (MemberFacts& member : facts.members) {
        member.patroni.available = {"3.3.2-1", "4.0.2-1", "4.0.7-1", "4.1.5-1", "no version"};
    }
    EXPECT_NE(propose_way(rows_of("to: 4.0.4"), facts, "4.0.4").find(" 4.0.7 has"),
              std::string::npos);
    EXPECT_NE(propose_way(rows_of("to: '>= 4.0.4'"), facts, "4.0.4").find(" 4.0.2 has"),
              std::string::npos);
    EXPECT_EQ(propose_way(rows_of("to: any"), facts, "4.0.4"), "");
}

}  // namespace
}  // namespace lockstep
