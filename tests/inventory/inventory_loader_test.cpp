#include "base/yaml.hpp"
#include "inventory/inventory.hpp"

#include <gtest/gtest.h>

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace lockstep {
namespace {

using Paths = std::vector<std::string>;

/// A home of our own, so that the keys of whoever runs the tests make no difference.
class InventoryLoader : public testing::Test {
  protected:
    void SetUp() override {
        home_ = std::filesystem::path(testing::TempDir()) /
                ("lockstep_home_" + std::to_string(getpid()));
        std::filesystem::create_directories(home_ / ".ssh");
        setenv("HOME", home_.c_str(), 1);
    }

    void TearDown() override {
        setenv("HOME", "/nonexistent", 1);
        std::filesystem::remove_all(home_);
    }

    void touch(const std::string& name) const { std::ofstream(home_ / name) << "x"; }

    [[nodiscard]] std::string home(const std::string& name) const {
        return (home_ / name).string();
    }

  private:
    std::filesystem::path home_;
};

/// One cluster `c` with these lines in it, indented by four.
Cluster cluster_of(const std::string& lines, const std::string& defaults = {}) {
    const std::string text =
        defaults + "clusters:\n  c:\n    patroni: {endpoints: [http://a:8008]}\n" + lines;
    return parse_inventory(text, "dir/inventory.yaml").clusters.front();
}

TEST_F(InventoryLoader, GivesAMinimalClusterTheDefaults) {
    const Inventory inventory =
        load_inventory(LOCKSTEP_SOURCE_DIR "/inventory/examples/minimal.yaml");
    ASSERT_EQ(inventory.clusters.size(), 1U);
    const Cluster& cluster = inventory.clusters.front();
    EXPECT_EQ(cluster.name, "orders");
    EXPECT_EQ(cluster.where.line, 6);
    EXPECT_EQ(cluster.patroni.endpoints, Paths{"http://10.0.0.11:8008"});
    EXPECT_TRUE(cluster.ssh.user.empty()) << "that is for ssh's configuration to say";
    EXPECT_EQ(cluster.ssh.port, 0);
    EXPECT_EQ(cluster.ssh.identity_files, Paths{});
    EXPECT_EQ(cluster.ssh.known_hosts, "");
    EXPECT_EQ(cluster.ssh.client, SshSettings::Client::automatic);
    EXPECT_EQ(cluster.ssh.become, Become::none);
    EXPECT_EQ(cluster.postgres.via, PostgresSettings::Via::ssh);
    EXPECT_EQ(cluster.patroni_service, "patroni");
    EXPECT_TRUE(cluster.members.empty());
    EXPECT_NE(inventory.text.find("orders"), std::string::npos);
}

TEST_F(InventoryLoader, ReadsEveryKeyOfTheFullExample) {
    const std::string path = LOCKSTEP_SOURCE_DIR "/inventory/examples/full.yaml";
    const Inventory inventory = load_inventory(path);
    const std::string folder = std::filesystem::path(path).parent_path();
    const Cluster& orders = inventory.cluster("orders");
    EXPECT_EQ(orders.patroni.endpoints.size(), 2U);
    EXPECT_EQ(orders.patroni.username, "admin");
    EXPECT_EQ(std::get<SecretRef::Env>(orders.patroni.password->source).name,
              "PATRONI_REST_PASSWORD");
    EXPECT_EQ(orders.patroni.ca_file, folder + "/tls/ca.pem");
    EXPECT_EQ(orders.patroni.cert_file, folder + "/tls/lockstep.pem");
    EXPECT_EQ(orders.patroni.key_file, folder + "/tls/lockstep.key");
    EXPECT_EQ(orders.ssh.user, "root");
    EXPECT_EQ(orders.ssh.identity_files, (Paths{home(".ssh/id_ed25519"), home(".ssh/id_ecdsa")}));
    EXPECT_EQ(std::get<SecretRef::Command>(orders.ssh.passphrase->source).argv,
              (Paths{"pass", "show", "ssh/lockstep"}));
    EXPECT_EQ(orders.ssh.become, Become::sudo);
    EXPECT_EQ(std::get<SecretRef::Env>(orders.ssh.become_password->source).name, "SUDO_PASSWORD");
    EXPECT_EQ(orders.ssh.client, SshSettings::Client::automatic);
    EXPECT_EQ(orders.ssh.config_file, home(".ssh/config"));
    EXPECT_EQ(orders.patroni.via, PatroniSettings::Via::direct);
    EXPECT_EQ(orders.postgres.user, "postgres");
    EXPECT_EQ(orders.postgres.database, "postgres");
    ASSERT_EQ(orders.members.size(), 3U);
    EXPECT_EQ(orders.members[1].ssh.port, 2222);
    EXPECT_EQ(orders.members[2].name, "n3");

    const Cluster& billing = inventory.cluster("billing");
    EXPECT_EQ(billing.ssh.user, "lockstep");
    EXPECT_EQ(billing.ssh.identity_files, Paths{home(".ssh/lockstep_ed25519")});
    EXPECT_EQ(billing.patroni_service, "patroni@billing");
    EXPECT_EQ(billing.postgres.dsn, "user=lockstep dbname=postgres sslmode=verify-full");
}

// What defaults say for one way is no mistake of a cluster that goes the other.
TEST_F(InventoryLoader, LeavesTheDefaultsOfAnotherWayToPostgresqlBehind) {
    const Inventory inventory = parse_inventory(
        "defaults: {postgres: {via: direct, dsn: user=a}}\n"
        "clusters:\n"
        "  c: {patroni: {endpoints: [http://a:8008]}}\n"
        "  d: {patroni: {endpoints: [http://b:8008]}, postgres: {via: ssh, user: b}}\n",
        "f");
    EXPECT_EQ(inventory.cluster("c").postgres.dsn, "user=a");
    EXPECT_EQ(inventory.cluster("d").postgres.dsn, "");
    EXPECT_EQ(inventory.cluster("d").postgres.user, "b");
}

TEST_F(InventoryLoader, ReadsThePeopleOfTheFullExample) {
    const std::string path = LOCKSTEP_SOURCE_DIR "/inventory/examples/full.yaml";
    const Inventory inventory = load_inventory(path);
    const std::string ca = (std::filesystem::path(path).parent_path() / "tls/ca.pem").string();
    EXPECT_EQ(inventory.groups.at("dba"), (Paths{"anna", "bert@jump1"}));
    EXPECT_EQ(std::get<SecretRef::File>(inventory.approvers.at("anna").secret.source).path,
              home(".config/lockstep/approval.key"));

    const NotifyTargets& notify = inventory.notify;
    ASSERT_EQ(notify.size(), 4U);
    const auto& ops = std::get<WebhookTarget>(notify.at("ops"));
    EXPECT_EQ(std::get<SecretRef::Env>(std::get<SecretRef>(ops.url).source).name, "SLACK_URL");
    const auto& audit = std::get<WebhookTarget>(notify.at("audit"));
    EXPECT_EQ(std::get<std::string>(audit.url), "https://hooks.example.com/lockstep");
    EXPECT_EQ(std::get<std::string>(audit.headers.at("X-Source")), "lockstep");
    EXPECT_TRUE(std::holds_alternative<SecretRef>(audit.headers.at("Authorization")));
    EXPECT_EQ(audit.ca_file, ca);
    EXPECT_FALSE(audit.insecure);
    const auto& mail = std::get<MailTarget>(notify.at("mail"));
    EXPECT_EQ(mail.url, "smtp://mail.example.com:587");
    EXPECT_TRUE(mail.tls);
    EXPECT_EQ(mail.from, "lockstep@example.com");
    EXPECT_EQ(mail.to, Paths{"dba@example.com"});
    EXPECT_EQ(mail.username, "lockstep");
    EXPECT_TRUE(mail.password);
    EXPECT_EQ(mail.ca_file, ca);
    EXPECT_EQ(std::get<CommandTarget>(notify.at("pager")).argv,
              (Paths{"/usr/local/bin/page", "--urgent"}));
}

TEST_F(InventoryLoader, KnowsNobodyAndTellsNobodyUnlessSaid) {
    const Inventory inventory =
        parse_inventory("clusters: {c: {patroni: {endpoints: [http://a:1]}}}", "i.yaml");
    EXPECT_TRUE(inventory.groups.empty());
    EXPECT_TRUE(inventory.approvers.empty());
    EXPECT_TRUE(inventory.notify.empty());
    EXPECT_FALSE(inventory.is_in_group("anna@jump1", "dba"));
}

TEST_F(InventoryLoader, CountsAUserOfAGroupOnAnyHostUnlessOneIsNamed) {
    const Inventory inventory = parse_inventory(
        "clusters: {c: {patroni: {endpoints: [http://a:1]}}}\n"
        "groups: {dba: [anna, bert@jump1]}\n",
        "i.yaml");
    EXPECT_TRUE(inventory.is_in_group("anna@jump1", "dba"));
    EXPECT_TRUE(inventory.is_in_group("anna@elsewhere", "dba"));
    EXPECT_TRUE(inventory.is_in_group("bert@jump1", "dba"));
    EXPECT_FALSE(inventory.is_in_group("bert@jump2", "dba"));
    EXPECT_FALSE(inventory.is_in_group("annabel@jump1", "dba"));
    EXPECT_FALSE(inventory.is_in_group("anna@jump1", "ops"));
}

TEST_F(InventoryLoader, LetsPlainHttpGoToThisMachineAndWhereItIsAskedFor) {
    EXPECT_EQ(webhook_trouble("https://hooks.example/x?y#z", false), "");
    for (const char* local : {"http://localhost/x", "http://127.0.0.1:80", "http://[::1]:80/x"}) {
        EXPECT_EQ(webhook_trouble(local, false), "") << local;
    }
    for (const char* url : {"http://10.0.0.1/x",
                            "http://localhost.example/",
                            "http://127.example/",
                            "http://[::2]/"}) {
        EXPECT_NE(webhook_trouble(url, false), "") << url;
        EXPECT_EQ(webhook_trouble(url, true), "") << url;
    }
    for (const char* wrong : {"",
                              "https:",
                              "https://",
                              "https:///x",
                              "https://a:0/",
                              "https://a:65536/",
                              "https://a:b/",
                              "https://[::1/",
                              "https://a\n/",
                              "https://-a/",
                              "ftp://a/",
                              "hooks.example/x",
                              "https://u:p@a/"}) {
        EXPECT_NE(webhook_trouble(wrong, true), "") << wrong;
    }
    EXPECT_EQ(host_of("https://hooks.example:8443/T0/s3cret"), "hooks.example");
    EXPECT_EQ(host_of("no url"), "");
}

TEST_F(InventoryLoader, MergesDefaultsThenClusterThenMember) {
    const Cluster cluster = cluster_of(
        "    ssh: {port: 2201}\n"
        "    members:\n"
        "      n1: {ssh: {host: h1, user: three}}\n"
        "      n2: {}\n",
        "defaults: {ssh: {user: one, port: 2200, become: sudo}, patroni_service: p}\n");
    EXPECT_EQ(cluster.patroni_service, "p");
    EXPECT_EQ(cluster.ssh.user, "one");
    EXPECT_EQ(cluster.ssh.port, 2201);
    const SshSettings n1 = cluster.ssh_of("n1");
    EXPECT_EQ(n1.host, "h1");
    EXPECT_EQ(n1.user, "three");
    EXPECT_EQ(n1.port, 2201);
    EXPECT_EQ(n1.become, Become::sudo);
    EXPECT_EQ(cluster.ssh_of("n2").host, "");
    EXPECT_EQ(cluster.ssh_of("somebody else").user, "one");
}

TEST_F(InventoryLoader, ReadsHowMembersAreReached) {
    const Cluster cluster = cluster_of(
        "    ssh: {become: sudo, become_password: {file: /etc/lockstep/sudo}}\n"
        "    members:\n"
        "      n1: {ssh: {become_password: {env: OTHER}}}\n",
        "defaults: {patroni: {via: ssh}}\n");
    EXPECT_EQ(cluster.patroni.via, PatroniSettings::Via::ssh);
    EXPECT_EQ(std::get<SecretRef::File>(cluster.ssh_of("n2").become_password->source).path,
              "/etc/lockstep/sudo");
    EXPECT_EQ(std::get<SecretRef::Env>(cluster.ssh_of("n1").become_password->source).name, "OTHER");
    EXPECT_THROW((void)cluster_of("    ssh: {become_password: hunter2}\n"), InputError);
    EXPECT_THROW((void)cluster_of("    ssh: {}\n", "defaults: {patroni: {via: proxy}}\n"),
                 InputError);
}

TEST_F(InventoryLoader, DoesNotCarrySettingsFromOneClusterToTheNext) {
    const Inventory inventory = parse_inventory(
        "clusters:\n"
        "  a: {patroni: {endpoints: [http://a:1]}, ssh: {user: x}, patroni_service: s}\n"
        "  b: {patroni: {endpoints: [http://b:1]}}\n",
        "i.yaml");
    EXPECT_EQ(inventory.cluster("b").patroni.endpoints, Paths{"http://b:1"});
    EXPECT_EQ(inventory.cluster("b").patroni_service, "patroni");
    EXPECT_NE(inventory.cluster("b").ssh.user, "x");
}

TEST_F(InventoryLoader, LetsAClusterReplaceTheSecretOfTheDefaults) {
    const Cluster cluster = parse_inventory(
                                "defaults: {patroni: {username: u, password: {env: A}}}\n"
                                "clusters:\n"
                                "  c: {patroni: {endpoints: [http://a:1], password: {file: b}}}\n",
                                "i.yaml")
                                .clusters.front();
    EXPECT_EQ(cluster.patroni.username, "u");
    EXPECT_EQ(std::get<SecretRef::File>(cluster.patroni.password->source).path, "b");
}

TEST_F(InventoryLoader, CountsPathsFromTheFolderOfTheInventory) {
    EXPECT_EQ(cluster_of("    ssh: {known_hosts: ../hosts}\n").ssh.known_hosts, "hosts");
    EXPECT_EQ(cluster_of("    ssh: {known_hosts: ./hosts}\n").ssh.known_hosts, "dir/hosts");
    EXPECT_EQ(cluster_of("    ssh: {known_hosts: /etc/hosts}\n").ssh.known_hosts, "/etc/hosts");
    EXPECT_EQ(cluster_of("    ssh: {known_hosts: ~/hosts}\n").ssh.known_hosts, home("hosts"));
}

TEST_F(InventoryLoader, TakesTheSlashOffAnEndpoint) {
    const auto endpoints = [](const std::string& list) {
        return parse_inventory("clusters: {c: {patroni: {endpoints: " + list + "}}}", "f")
            .clusters.front()
            .patroni.endpoints;
    };
    EXPECT_EQ(endpoints("[\"http://a:8008/\"]"), Paths{"http://a:8008"});
    EXPECT_EQ(endpoints("[\"https://[::1]:8008\"]"), Paths{"https://[::1]:8008"});
}

TEST_F(InventoryLoader, AcceptsConninfosWithoutAPassword) {
    for (const char* dsn : {"user=postgres passfile=/x",
                            "options='-c password_encryption=md5'",
                            "application_name = 'host=x'",
                            "user = a\\ password",
                            "postgresql:///orders?sslmode=require",
                            "postgresql://admin@/orders"}) {
        EXPECT_EQ(cluster_of("    postgres: {via: direct, dsn: \"" +
                             (std::string(dsn) == "user = a\\ password" ? "user = a\\\\ password"
                                                                        : std::string(dsn)) +
                             "\"}\n")
                      .postgres.dsn,
                  dsn);
    }
}

TEST_F(InventoryLoader, NeverShowsASecretInAMessage) {
    for (const char* line : {"    ssh: {passphrase: hunter2}\n",
                             "    ssh: {passphrase: {env: \"hunter2!\"}}\n",
                             "    ssh: {passphrase: {command: hunter2}}\n",
                             "    postgres: {dsn: \"password=hunter2\"}\n",
                             "    postgres: {dsn: \"postgres://u:hunter2@/x\"}\n",
                             "    patroni_service: [hunter2]\n"}) {
        try {
            static_cast<void>(cluster_of(line));
            FAIL() << line;
        } catch (const InputError& error) {
            EXPECT_EQ((error.what() + error.hint()).find("hunter2"), std::string::npos) << line;
        }
    }
}

TEST_F(InventoryLoader, NeverShowsASecretOfATargetInAMessage) {
    for (const char* target : {"https://a/hunter2",
                               "{webhook: \"http://a/hunter2\"}",
                               "{webhook: \"https://u:hunter2@a/\"}",
                               "{webhook: \"a/hunter2\"}",
                               "{webhook: [\"https://a/hunter2\"]}",
                               "{webhook: \"https://a/\", headers: \"X: hunter2\"}",
                               "{webhook: \"https://a/\", headers: {X: \"hunter2\\n\"}}",
                               "{webhook: \"https://a/\", headers: {Cookie: hunter2}}",
                               "{smtp: \"smtps://u:hunter2@a\"}",
                               "{smtp: \"smtps://a\", username: u, password: hunter2}"}) {
        try {
            static_cast<void>(cluster_of("", std::string("notify: {t: ") + target + "}\n"));
            FAIL() << target;
        } catch (const InputError& error) {
            EXPECT_EQ((error.what() + error.hint()).find("hunter2"), std::string::npos) << target;
        }
    }
}

TEST_F(InventoryLoader, FindsAClusterByName) {
    const Inventory inventory = parse_inventory(
        "clusters: {orders: {patroni: {endpoints: [http://a:1]}},"
        " billing: {patroni: {endpoints: [http://b:1]}}}",
        "i.yaml");
    EXPECT_EQ(inventory.cluster("billing").name, "billing");
    try {
        static_cast<void>(inventory.cluster("oders"));
        FAIL();
    } catch (const UsageError& error) {
        EXPECT_STREQ(error.what(), "no cluster \"oders\" in i.yaml");
        EXPECT_EQ(error.hint(), "did you mean \"orders\"?");
    }
    try {
        static_cast<void>(inventory.cluster(""));
        FAIL();
    } catch (const UsageError& error) {
        EXPECT_STREQ(error.what(), "which cluster? i.yaml has 2");
        EXPECT_EQ(error.hint(), "Name one of: orders, billing.");
    }
}

TEST_F(InventoryLoader, TakesTheOnlyClusterWhereNoneIsNamed) {
    const Inventory inventory =
        parse_inventory("clusters: {orders: {patroni: {endpoints: [http://a:1]}}}", "i.yaml");
    EXPECT_EQ(inventory.cluster("").name, "orders");
}

TEST_F(InventoryLoader, SaysWhatIsWrongWithAFileThatIsNotThere) {
    EXPECT_THROW(static_cast<void>(load_inventory("/no/such/inventory.yaml")), InputError);
}

}  // namespace
}  // namespace lockstep
