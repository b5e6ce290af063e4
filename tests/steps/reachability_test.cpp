#include "steps/reachability.hpp"

#include "tests/fakes/fake_cluster.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace lockstep {
namespace {

using Verdict = Way::Verdict;

constexpr const char* k_all_programs =
    "has runuser\nhas psql\nhas curl\nhas sudo\nhas systemctl\nhas dd\nhas stat\nhas df\n"
    "has apt-get\nhas dpkg-query\nhas flock\nhas setsid\nhas timeout\n";

class Ways : public testing::Test {
  protected:
    Ways() { logs_in_as("root"); }

    void logs_in_as(const std::string& user, const std::string& programs = k_all_programs) {
        for (auto& [name, member] : world.members) {
            member.commands = [user, programs](const std::string&) {
                return command_result(0, "user " + user + "\n" + programs);
            };
        }
    }

    Way way(const std::string& member, const std::string& name) {
        ClusterFacts facts = world.observe();
        world.observer().probe_write_access(facts, {});
        const std::vector<Way> ways = find_reachability(world.connections(), facts, {});
        const auto found = std::ranges::find_if(
            ways, [&](const Way& each) { return each.member == member && each.name == name; });
        if (found == ways.end()) {
            ADD_FAILURE() << "no " << name << " to " << member;
            return {};
        }
        return *found;
    }

    FakeCluster world;
};

TEST_F(Ways, AreAllThereOnAHealthyCluster) {
    for (const char* name : {"SSH", "root", "tools", "REST", "REST changes", "SQL"}) {
        EXPECT_EQ(way("n2", name).verdict, Verdict::ok) << name;
    }
    EXPECT_NE(way("n2", "SSH").how.find(" by libssh2"), std::string::npos);
}

TEST_F(Ways, AreLimitedWhereAPasswordGoesByHttp) {
    world.cluster.patroni.username = "admin";
    world.cluster.patroni.password = SecretRef{SecretRef::Env{"PATH"}, {}};
    for (const auto& [name, member] : world.members) {
        world.cluster.patroni.endpoints.push_back(FakeCluster::url(name, ""));
    }
    const Way changes = way("n2", "REST changes");
    EXPECT_EQ(changes.verdict, Verdict::limited);
    EXPECT_NE(changes.access.hint.find("by http"), std::string::npos) << changes.access.hint;
}

TEST_F(Ways, SayWhetherTheHostIsTheMember) {
    EXPECT_EQ(way("n2", "identity").verdict, Verdict::ok);
    EXPECT_EQ(way("n2", "identity").how, "n2 of orders, by its configuration");
    world.members.at("n2").seen["\"name\": \"n2\""] = "\"name\": \"\"";
    const Way untold = way("n2", "identity");
    EXPECT_EQ(untold.verdict, Verdict::limited);
    EXPECT_TRUE(untold.access.hint.starts_with("Whether this host is n2 is not known"));
    world.members.at("n2").seen["\"name\": \"n2\""] = "\"name\": \"n7\"";
    const Way other = way("n2", "identity");
    EXPECT_EQ(other.verdict, Verdict::failed);
    EXPECT_NE(other.access.error.find("configured as n7"), std::string::npos);
    EXPECT_EQ(way("n1", "identity").verdict, Verdict::ok);
}

TEST_F(Ways, SayThatHttpIsNotAuthenticated) {
    EXPECT_EQ(way("n2", "REST").how, "http, not authenticated");
    EXPECT_NE(world.cluster.note_on_rest().find("whoever is in between can lie"),
              std::string::npos);
    PatroniSettings verified{.endpoints = {"https://n1:8008"}};
    EXPECT_TRUE(verified.is_authenticated());
    verified.insecure_skip_verify = true;
    EXPECT_FALSE(verified.is_authenticated());
    verified.via = PatroniSettings::Via::ssh;
    EXPECT_TRUE(verified.is_authenticated());
}

TEST_F(Ways, NameProgramsThatAreMissing) {
    logs_in_as("root", "has systemctl\nhas stat\nhas df\nhas dnf\nhas rpm\n");
    const Way tools = way("n1", "tools");
    EXPECT_EQ(tools.verdict, Verdict::failed);
    EXPECT_EQ(tools.access.error, "there is no dd (for commands)");
    logs_in_as("root", "has dd\nhas systemctl\nhas stat\nhas df\nhas dnf\nhas rpm\nhas setsid\n");
    const Way wanting = way("n1", "tools");
    EXPECT_EQ(wanting.verdict, Verdict::limited);
    EXPECT_NE(wanting.access.hint.find("flock"), std::string::npos);
}

TEST_F(Ways, AreLimitedForALoginThatStaysWhatItIs) {
    logs_in_as("ops");
    const Way root = way("n1", "root");
    EXPECT_EQ(root.verdict, Verdict::limited);
    EXPECT_EQ(root.how, "stays ops");
    EXPECT_EQ(root.sudoers, Names{"ops ALL=(root) NOPASSWD: /bin/sh"});
}

TEST_F(Ways, HaveTheLinesThatSudoersLack) {
    world.cluster.ssh.user = "ops";
    world.cluster.ssh.become = Become::sudo;
    for (const auto& [name, member] : world.members) {
        world.ssh.on(member.host, [](const RemoteCommand& command) {
            if (command.script.find("sudo -n") != std::string::npos) {
                return command_result(1, "", "sudo: sorry, you must have a tty to run sudo\n");
            }
            return command_result(0, std::string("user ops\n") + k_all_programs);
        });
    }
    const Way root = way("n1", "root");
    EXPECT_EQ(root.verdict, Verdict::failed);
    EXPECT_EQ(root.sudoers,
              (Names{"ops ALL=(root) NOPASSWD: /bin/sh", "Defaults:ops !requiretty"}));
}

TEST_F(Ways, SayWhoMayNotChangeAnything) {
    world.http.answer("PATCH " + FakeCluster::url("n3", "/config"), "Access is denied", 403);
    const Way changes = way("n3", "REST changes");
    EXPECT_EQ(changes.verdict, Verdict::failed);
    EXPECT_NE(changes.access.hint.find("restapi.allowlist"), std::string::npos);
    EXPECT_EQ(way("n2", "REST changes").verdict, Verdict::ok);
}

}  // namespace
}  // namespace lockstep
