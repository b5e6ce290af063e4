#include "cluster/host_findings.hpp"
#include "tests/cluster/sample_facts.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

/// A healthy cluster of which the host of n2 is looked at.
class HostRules : public testing::Test {
  protected:
    HostRules() {
        for (MemberFacts& member : facts.members) {
            member.postgres.data_directory = "/pg";
            member.unit = UnitFacts{.active_state = "active"};
            member.setup = SetupFacts{};
            member.on_host = HostFacts{.unit = "patroni",
                                       .load_state = "loaded",
                                       .unit_state = "active",
                                       .kill_mode = "process",
                                       .daemon_unit = "patroni",
                                       .daemon_pid = 7,
                                       .patronis = {{"patroni", "active"}},
                                       .postmasters = {{9, 5432, "/pg", "patroni"}}};
        }
    }

    MemberFacts& n2() { return *facts.find("n2"); }

    /// `ID SEVERITY`, of all that is found on n2.
    std::vector<std::string> found() {
        Cluster expected;
        expected.patroni_service = "patroni";
        expected.patroni_package = "patroni";
        std::vector<std::string> texts;
        for (const Finding& finding : diagnose(facts, expected)) {
            if (finding.member == "n2") {
                texts.push_back(finding.id + " " + std::string(to_text(finding.severity)));
                EXPECT_FALSE(finding.remedy.empty()) << finding.id;
            }
        }
        return texts;
    }

    using Texts = std::vector<std::string>;
    ClusterFacts facts = healthy_cluster("4.0.7");
};

TEST_F(HostRules, SayNothingOfAHostThatIsAsItShouldBe) {
    EXPECT_EQ(found(), Texts{});
    n2().on_host.reset();
    EXPECT_EQ(found(), Texts{});
}

TEST_F(HostRules, WarnOfAUnitThatTakesPostgresAlong) {
    n2().on_host->kill_mode = "control-group";
    EXPECT_EQ(found(), Texts{"host.kill_mode warning"});
    n2().on_host->postmasters[0].unit = "postgresql";
    EXPECT_EQ(found(), Texts{});
    n2().on_host->postmasters.clear();
    EXPECT_EQ(found(), Texts{"host.kill_mode warning"});
}

TEST_F(HostRules, WarnOfAUnitThatIsNotWhatRuns) {
    n2().on_host->daemon_unit = "patroni@17-main";
    n2().on_host->unit_state = "inactive";
    EXPECT_EQ(found(), Texts{"service.not_what_runs warning"});
    // One cause, one finding.
    n2().unit.reset();
    n2().unknown["unit"] = "systemd has no unit patroni";
    n2().on_host->load_state = "not-found";
    EXPECT_EQ(found(), Texts{"service.not_what_runs warning"});
}

TEST_F(HostRules, WarnOfAUnitThatIsMasked) {
    n2().on_host->load_state = "masked";
    EXPECT_EQ(found(), Texts{"service.not_what_runs warning"});
    n2().on_host->unit_state = "inactive";
    n2().on_host->daemon_unit = "";
    n2().on_host->daemon_pid = 0;
    EXPECT_EQ(found(), Texts{"service.not_what_runs warning"});
}

TEST_F(HostRules, WarnOfAPatroniThatAnswersAndWasNotSeen) {
    n2().on_host->daemon_unit = "";
    n2().on_host->daemon_pid = 0;
    EXPECT_EQ(found(), Texts{});  // the unit is up, and may well be it
    n2().on_host->unit_state = "inactive";
    EXPECT_EQ(found(), Texts{"service.not_what_runs warning"});
    n2().api.error = "refused";
    for (const std::string& text : found()) {
        EXPECT_FALSE(text.starts_with("service.")) << text;
    }
}

TEST_F(HostRules, NameAFolderOfLockstepThatIsSomebodyElses) {
    n2().unknown["folder"] = "/var/lib/lockstep is not what lockstep made: it belongs to lockstep";
    EXPECT_EQ(found(), std::vector<std::string>{"host.foreign_folder critical"});
}

TEST_F(HostRules, WarnOfNeedrestartThatIsNotToldToLeaveThemAlone) {
    n2().upkeep = UpkeepFacts{};
    EXPECT_EQ(found(), Texts{});
    n2().upkeep->needrestart = true;
    EXPECT_EQ(found(), Texts{"host.needrestart warning"});
    n2().upkeep->spared = {"patroni"};
    EXPECT_EQ(found(), Texts{});
    n2().upkeep->etcd = true;
    EXPECT_EQ(found(), Texts{"host.needrestart warning"});
    EXPECT_NE(needrestart_restarts(n2())->remedy.find("qr(^etcd)"), std::string::npos);
    n2().upkeep->spared = {"patroni", "etcd"};
    n2().on_host->postmasters[0].unit = "postgresql@17-main";
    EXPECT_EQ(found(), Texts{"host.needrestart warning"});
    n2().upkeep->spared.emplace_back("postgres");
    EXPECT_EQ(found(), Texts{});
}

TEST_F(HostRules, WarnOfUnattendedUpgradesOfWhatNobodyKeepsBack) {
    const auto names = [&] {
        const auto finding = unattended_changes(n2(), "patroni");
        return finding ? finding->message.substr(0, finding->message.find(" there")) : "";
    };
    n2().postgres.package = "postgresql-17";
    n2().upkeep = UpkeepFacts{};
    EXPECT_EQ(names(), "");
    n2().upkeep->unattended = true;
    EXPECT_EQ(names(), "n2: unattended-upgrades may change patroni and postgresql-17");
    EXPECT_EQ(found(), Texts{"host.unattended_upgrades warning"});
    n2().patroni.held = true;
    EXPECT_EQ(names(), "n2: unattended-upgrades may change postgresql-17");
    for (const char* pattern : {"postgresql-", "postgresql-17$", ".*", "(patroni|postgresql-17)"}) {
        n2().upkeep->unattended_not = {"libc6$", pattern};
        EXPECT_EQ(names(), "") << pattern;
    }
    n2().upkeep->unattended_not.clear();
    n2().postgres.installed = "17.12-1.pgdg13+1";
    EXPECT_EQ(names(), "") << "it takes nothing of PGDG's unless it is told to";
    n2().upkeep->unattended_pgdg = true;
    EXPECT_NE(names(), "");
}

TEST_F(HostRules, MentionThatPackagesRestartNothing) {
    n2().upkeep = UpkeepFacts{};
    n2().upkeep->no_restarts = true;
    EXPECT_EQ(found(), Texts{"host.policy_rc_d info"});
}

TEST_F(HostRules, CountAPostgresqlAsDownByTheWordsOfOneList) {
    n2().on_host->kill_mode = "control-group";
    n2().on_host->postmasters.clear();
    for (const char* state : {"stopped", "crashed", "start failed", "restart failed"}) {
        n2().state = state;
        EXPECT_FALSE(unit_stops_postgres(n2())) << state;
    }
    n2().state = "starting";
    EXPECT_TRUE(unit_stops_postgres(n2()));
}

TEST_F(HostRules, MentionAnotherPatroni) {
    n2().on_host->patronis.push_back({"patroni@17-billing", "active"});
    EXPECT_EQ(found(), Texts{"host.other_patroni info"});
    n2().on_host->patronis.back().active_state = "inactive";
    EXPECT_EQ(found(), Texts{});
}

// The daemon was restarted well enough: the package is none of its business.
TEST_F(HostRules, CallNoDaemonUnrestartedThatIsNoFileOfThePackage) {
    n2().patroni.running = "4.0.7";
    n2().patroni.installed = "4.1.5-2";
    EXPECT_EQ(found(), Texts{"patroni.not_restarted critical"});
    n2().setup->program = "/opt/patroni/patroni/__init__.py";
    n2().setup->packaged = false;
    EXPECT_EQ(found(), Texts{"package.not_its_own warning"});
}

}  // namespace
}  // namespace lockstep
