#include "steps/observation/member_script.hpp"

#include "base/error.hpp"
#include "base/shell_quote.hpp"
#include "steps/observation/member_query.hpp"
#include "steps/observation/observed_time.hpp"
#include "steps/observation/setup_program.hpp"
#include "tests/fakes/shell_host.hpp"
#include "tests/steps/recorded_text.hpp"
#include "tests/transport/test_postgres.hpp"
#include "transport/exec_trailer.hpp"
#include "transport/sudo_session.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

using namespace std::chrono_literals;

MemberScript script() {
    return {.nonce = k_recorded_nonce,
            .unit = "patroni",
            .package = "patroni",
            .os_user = "postgres",
            .port = 5432};
}

MemberFacts read(const std::string& out, const std::string& err = {}, int status = 0) {
    MemberFacts member;
    member.name = "n2";
    CommandResult result;
    result.out = out;
    result.err = err;
    result.exit_status = status;
    read_output(script(), result, member);
    return member;
}

std::string debian() {
    return recorded_text("member_debian.txt");
}

TEST(MemberScript, QuotesWhatComesFromTheInventory) {
    MemberScript hostile = script();
    hostile.unit = "patroni@16-main; reboot";
    hostile.os_user = "it's";
    const std::string text = render(hostile);
    EXPECT_NE(text.find("unit='patroni@16-main; reboot'\n"), std::string::npos);
    EXPECT_NE(text.find("os_user='it'\\''s'\n"), std::string::npos);
}

TEST(MemberScript, AsksNoSqlWithoutAnOsUser) {
    MemberScript direct = script();
    direct.os_user.clear();
    EXPECT_EQ(render(direct).find("psql"), std::string::npos);
    MemberFacts member;
    CommandResult result;
    result.out = debian();
    read_output(direct, result, member);
    EXPECT_FALSE(member.sql.asked);
    EXPECT_TRUE(member.ssh.ok());
}

/// Looks at what is sent.
class Capture final : public SshSession {
  public:
    CommandResult run(const RemoteCommand& command, Deadline, std::stop_token) override {
        size = wrap_script(command.script, k_recorded_nonce).size();
        return {};
    }

    [[nodiscard]] std::string peer() const override { return "ops@n1:22"; }

    std::size_t size = 0;
};

// Each quote in it is quoted three times then, and libssh2 sends no command beyond one packet.
TEST(MemberScript, FitsIntoOneCommandUnderSudo) {
    constexpr std::size_t k_room_for_names = 2000;
    Capture host;
    const auto root = make_sudo_session(host, {.user = "ops", .password = Secret("s3cret")});
    EXPECT_THROW(root->run({.script = render(script())}, Deadline::after(1s), {}), TransportError);
    EXPECT_GT(host.size, 0U);
    EXPECT_LT(host.size, 34'000 - k_room_for_names);
}

TEST(MemberScript, HasANonceOfItsOwnEveryTime) {
    EXPECT_EQ(make_nonce().size(), 32U);
    EXPECT_NE(make_nonce(), make_nonce());
}

TEST(MemberOutput, IsReadWhole) {
    const MemberFacts member = read(debian());
    EXPECT_TRUE(member.ssh.ok());
    EXPECT_TRUE(member.sql.ok());
    EXPECT_TRUE(member.unknown.empty());
    EXPECT_EQ(member.boot_id, "ab24e507-daa1-44be-9d06-4e1d106c4422");
    ASSERT_TRUE(member.unit);
    EXPECT_EQ(member.unit->active_state, "active");
    EXPECT_EQ(member.unit->sub_state, "running");
    EXPECT_EQ(member.unit->main_pid, 69);
    EXPECT_EQ(member.unit->started_at, 1795425018);
    EXPECT_EQ(member.unit->package_changed_at, 1795423662);
    EXPECT_EQ(member.patroni.installed, "4.0.7-3~deb13u1");
    EXPECT_EQ(member.patroni.available,
              (std::vector<std::string>{"4.1.5-2", "4.0.7-3~deb13u1", "3.0.2-1"}));
    EXPECT_EQ(member.postgres.installed, "17.11-0+deb13u1");
    EXPECT_EQ(member.postgres.package, "postgresql-17");
    EXPECT_EQ(member.postgres.data_directory, "/var/lib/postgresql/17/main");
    ASSERT_TRUE(member.disk);
    EXPECT_EQ(member.disk->mount, "/var/lib/postgresql");
    EXPECT_EQ(member.disk->total_bytes, 3221225472);
    EXPECT_EQ(member.disk->free_bytes, 3089281024);
}

TEST(MemberOutput, HoldsWalAndSlots) {
    const MemberFacts member = read(debian());
    ASSERT_TRUE(member.wal);
    EXPECT_EQ(member.wal->files, 6);
    EXPECT_EQ(member.wal->bytes, 100663296);
    EXPECT_EQ(member.wal->segment_bytes, 16777216);
    EXPECT_EQ(member.wal->oldest, 0x3000000U);
    EXPECT_EQ(member.wal->redo, 0x5000530U);
    EXPECT_EQ(member.wal->held_bytes(), 2 * 16777216);
    EXPECT_EQ(member.wal->max_wal_size, 64 << 20);
    EXPECT_EQ(member.wal->keep_size, 32 << 20);
    EXPECT_EQ(member.wal->max_slot_wal_keep_size, -1);
    ASSERT_TRUE(member.slots);
    ASSERT_EQ(member.slots->size(), 2U);
    EXPECT_EQ(member.slots->at(0).name, "n1");
    EXPECT_EQ(member.slots->at(0).restart_lsn, 0x5000600U);
    EXPECT_EQ(member.slots->at(0).retained_bytes, 0);
    EXPECT_FALSE(member.slots->at(0).active);
    EXPECT_TRUE(member.in_recovery);
    EXPECT_EQ(member.position, 0x5000600U);
    EXPECT_EQ(member.timeline, 4);
    EXPECT_EQ(member.postgres.running, "17.11");
    EXPECT_EQ(member.postgres.started_at, "2026-11-23T09:11:44.846Z");
}

TEST(MemberOutput, HoldsTheSetupAndTheSystem) {
    const MemberFacts member = read(debian());
    ASSERT_TRUE(member.setup);
    EXPECT_EQ(member.setup->file, "/etc/patroni/config.yml");
    EXPECT_EQ(member.setup->changed_at, 1795425010);
    EXPECT_EQ(member.setup->dcs, (std::vector<std::string>{"etcd3"}));
    EXPECT_EQ(member.setup->python, "3.13.5");
    EXPECT_EQ(member.setup->modules.at("ydiff"), "1.4.2");
    EXPECT_EQ(member.setup->parameters["work_mem"], "8MB");
    ASSERT_TRUE(member.os);
    EXPECT_EQ(member.os->id, "debian");
    EXPECT_EQ(member.os->version, "13");
    EXPECT_EQ(member.os->libc, "2.41");
}

TEST(MemberOutput, HoldsWhoItIsAndWhatItsDaemonSaysOfTheCluster) {
    EXPECT_FALSE(read(debian()).own_word);
    EXPECT_EQ(read(debian()).identity.host, "");  // as older scripts asked
    std::string text = replaced(debian(), "\ndaemon=69", "\nnamespace=pid:[7]\ndaemon=69");
    text = replaced(text,
                    "\"by_members\": false}",
                    "\"by_members\": false, \"name\": \"n2\", \"scope\": \"orders\"}\n"
                    R"({"scope": "orders", "pause": null, "members": [)"
                    R"({"name": "n2", "role": "replica", "host": "10.0.0.12", "port": 5433, )"
                    R"("api_url": "http://10.0.0.12:8008/patroni"}, )"
                    R"({"name": "n1", "role": "leader", "host": "10.0.0.11", "port": 5432, )"
                    R"("api_url": null}]})");
    const MemberFacts member = read(text);
    EXPECT_EQ(member.setup->name, "n2");
    EXPECT_EQ(member.setup->scope, "orders");
    EXPECT_EQ(member.identity.host, "ab24e507-daa1-44be-9d06-4e1d106c4422 pid:[7]");
    EXPECT_EQ(member.identity.system_identifier, "7711291720471441498");
    ASSERT_TRUE(member.own_word);
    EXPECT_TRUE(member.own_word->over_ssh);
    EXPECT_EQ(member.own_word->url, "n2 over SSH");
    EXPECT_EQ(member.own_word->leader, "n1");
    EXPECT_EQ(member.own_word->members, (std::vector<std::string>{"n1", "n2"}));
    EXPECT_EQ(
        member.own_word->addresses,
        (std::vector<std::string>{"10.0.0.11:5432, ", "10.0.0.12:5433, http://10.0.0.12:8008"}));
}

TEST(MemberOutput, HoldsTheArchiverTheCheckpointAndTheSettingsThatMatter) {
    const MemberFacts member = read(debian());
    ASSERT_TRUE(member.wal->archiver);
    EXPECT_EQ(member.wal->archiver->waiting, 0);
    EXPECT_EQ(member.wal->archiver->last_archived_ago, 35);
    EXPECT_EQ(member.wal->archiver->last_failed_ago, std::nullopt);
    EXPECT_EQ(member.wal->checkpoint_age_seconds, 42);
    EXPECT_EQ(member.wal->checkpoint_timeout_seconds, 30);
    const std::map<std::string, std::string> expected = {{"max_connections", "50"},
                                                         {"max_worker_processes", "8"},
                                                         {"wal_level", "logical"},
                                                         {"hot_standby", "on"},
                                                         {"shared_preload_libraries", ""},
                                                         {"work_mem", "8MB"},  // in the file
                                                         {"jit", "off"}};
    EXPECT_EQ(member.postgres.settings, expected);
}

TEST(MemberOutput, WithoutASetupIsWholeAllTheSame) {
    const MemberFacts member =
        read(with_section(debian(),
                          "setup",
                          "Traceback (most recent call last):\nImportError: No module named yaml",
                          1));
    EXPECT_FALSE(member.setup);
    EXPECT_EQ(member.unknown.at("setup"), "ImportError: No module named yaml");
    EXPECT_TRUE(member.ssh.ok());
    EXPECT_FALSE(member.postgres.settings.contains("work_mem"));
    EXPECT_FALSE(read(with_section(debian(), "setup", "[1]", 0)).setup);
}

TEST(MemberOutput, OfAnotherLibcThanGlibcHasNone) {
    const MemberFacts member = read(with_section(debian(), "os", "ID=alpine\nlibc=", 0));
    EXPECT_EQ(member.os->id, "alpine");
    EXPECT_TRUE(member.os->libc.empty());
}

/// What setup_program() says of a daemon with this environment and configuration; null where there
/// is no Python with YAML.
nlohmann::json setup_said(const ShellHost& host, const std::string& environment) {
    if (!host.run({.script = "python3 -c 'import yaml'"}).ok()) {
        return nullptr;
    }
    // The shell plays the daemon: its last argument is the configuration.
    const std::string daemon = "python3 -E -s -B -c \"$program\" $$; true";
    const CommandResult result =
        host.run({.script = "export program=" + shell_quote(setup_program()) + "\n" + environment +
                            " sh -c " + shell_quote(daemon) + " sh " + host.path("config")});
    return nlohmann::json::parse(result.out + result.err, nullptr, false);
}

TEST(SetupProgram, LetsNoSecretOut) {
    const ShellHost host;
    host.write("config/10.yml",
               "etcd: {host: 'a:2379', password: pw1}\n"
               "restapi: {authentication: {username: u, password: pw2}, verify_client: required}\n"
               "postgresql: {authentication: {superuser: {password: pw3}}, parameters: {work_mem: "
               "4MB, jit: off, archive_command: 'push --key pw4', pgx.token: pw5, port: 5433,\n"
               "  ssl_passphrase_command: pw6, application_name: 'a b pw7 c', krb_server_keyfile: "
               "pw8}}\n");
    host.write("config/20.yml",
               "postgresql: {parameters: {work_mem: 8MB}}\nctl: {certfile: /x}\n"
               "bootstrap: {users: {admin: {password: pw9}}}\n");
    host.write("config/ignored.txt", "consul: {}\n");
    const nlohmann::json said =
        setup_said(host, "PATRONI_CONSUL_TOKEN=pw10 PATRONI_RESTAPI_PASSWORD=pw11");
    if (said.is_null()) {
        GTEST_SKIP() << "needs python3 with yaml";
    }
    EXPECT_EQ(said.dump().find("pw"), std::string::npos) << said.dump();
    const SetupFacts setup = setup_of(said);
    EXPECT_EQ(setup.file, host.path("config"));
    EXPECT_GT(setup.changed_at, 0);
    EXPECT_EQ(setup.dcs, (std::vector<std::string>{"etcd", "consul"}));
    EXPECT_EQ(setup.parameters,
              nlohmann::json::parse(R"({"work_mem": "8MB", "jit": false, "port": 5433})"));
    EXPECT_EQ(setup.verify_client, "required");
    EXPECT_TRUE(setup.has_ctl_certificate);
    EXPECT_TRUE(setup.has_bootstrap_users);
    EXPECT_FALSE(setup.allowlist_by_members);
    EXPECT_FALSE(setup.python.empty());
}

TEST(SetupProgram, ReadsAConfigurationInTheEnvironment) {
    const ShellHost host;
    const nlohmann::json said = setup_said(host,
                                           "PATRONI_CONFIGURATION='{raft: {data_dir: /x}, "
                                           "name: n1, scope: orders}' PATRONI_NAME=n2 "
                                           "PATRONI_RESTAPI_ALLOWLIST_INCLUDE_MEMBERS=true");
    if (said.is_null()) {
        GTEST_SKIP() << "needs python3 with yaml";
    }
    const SetupFacts setup = setup_of(said);
    EXPECT_TRUE(setup.file.empty());
    EXPECT_EQ(setup.dcs, (std::vector<std::string>{"raft"}));
    EXPECT_EQ(setup.name, "n2");
    EXPECT_EQ(setup.scope, "orders");
    EXPECT_TRUE(setup.allowlist_by_members);
}

TEST(MemberOutput, LeavesAloneWhatTheRestApiToldBetter) {
    MemberFacts member;
    member.position = 7;
    member.timeline = 9;
    member.postgres.started_at = "earlier";
    CommandResult result;
    result.out = debian();
    read_output(script(), result, member);
    EXPECT_EQ(member.position, 7U);
    EXPECT_EQ(member.timeline, 9);
    EXPECT_EQ(member.postgres.started_at, "earlier");
}

TEST(MemberOutput, SurvivesNoiseInEverySection) {
    std::string noisy =
        replaced(debian(), " begin sql\n", " begin sql\nperl: warning: Setting locale failed.\n");
    noisy = replaced(noisy, " begin disk\n", " begin disk\ndf: /mnt: Stale file handle\n");
    noisy =
        replaced(noisy, " begin available\n", " begin available\nN: Unable to locate something\n");
    const MemberFacts member = read("Welcome to n2!\n" + noisy + "bye\n");
    EXPECT_TRUE(member.sql.ok());
    EXPECT_TRUE(member.slots);
    EXPECT_TRUE(member.disk);
    EXPECT_EQ(member.patroni.available.size(), 3U);
}

TEST(MemberOutput, TellsAMissingPsqlFromTheRest) {
    const MemberFacts member = read(with_section(
        debian(), "sql", "runuser: failed to execute psql: No such file or directory", 127));
    EXPECT_TRUE(member.ssh.ok());
    EXPECT_TRUE(member.sql.failed());
    EXPECT_NE(member.sql.error.find("failed to execute psql"), std::string::npos);
    EXPECT_NE(member.sql.hint.find("client"), std::string::npos);
    EXPECT_FALSE(member.slots);
    EXPECT_FALSE(member.wal);
    EXPECT_TRUE(member.disk);
}

TEST(MemberOutput, TellsAServerThatRefuses) {
    const MemberFacts member = read(
        with_section(debian(),
                     "sql",
                     "psql: error: connection to server on socket \"/tmp/.s.PGSQL.5432\" failed",
                     2));
    EXPECT_TRUE(member.sql.failed());
    EXPECT_TRUE(member.sql.error.starts_with("psql: error: connection to server"));
}

// A server may answer in the encoding of its own locale, before it knows ours.
TEST(MemberOutput, IsMadeFitForJson) {
    const MemberFacts member = read(with_section(
        debian(), "sql", "psql: FATAL:  Passwort-Authentifizierung f\xFCr postgres", 2));
    EXPECT_TRUE(member.sql.failed());
    EXPECT_NO_THROW((void)member.to_json().dump());
    EXPECT_NO_THROW((void)read("", "sudo: \xFF\n", 1).to_json().dump());
}

TEST(MemberOutput, TellsALoginThatIsNotRoot) {
    const MemberFacts member =
        read(with_section(debian(), "sql", "runuser: may not be used by non-root users", 1));
    EXPECT_TRUE(member.sql.refused);
    EXPECT_NE(member.sql.hint.find("sudo"), std::string::npos);
}

TEST(MemberOutput, TakesNoOtherJsonForTheDocument) {
    const MemberFacts member = read(with_section(debian(), "sql", "{\"slots\": 1}", 0));
    EXPECT_TRUE(member.sql.failed());
    EXPECT_FALSE(member.slots);
}

// A name in the database that looks like a marker is within the JSON and begins no line.
TEST(MemberOutput, CannotBeForgedWithoutTheNonce) {
    const MemberFacts member = read(replaced(
        debian(), " begin sql\n", " begin sql\n@ffffffffffffffffffffffffffffffff end 0\n"));
    EXPECT_TRUE(member.sql.ok());
}

TEST(MemberOutput, CutOffAnywhereIsNeverTakenForWhole) {
    const std::string whole = debian();
    for (std::size_t length = 0; length + 2 < whole.size(); length += 7) {
        const MemberFacts member = read(whole.substr(0, length));
        EXPECT_TRUE(member.ssh.failed()) << length;
    }
}

TEST(MemberOutput, WithoutAnySectionIsAScriptThatDidNotRun) {
    const MemberFacts member = read("", "sh: cannot fork\n", 1);
    EXPECT_TRUE(member.ssh.failed());
    EXPECT_NE(member.ssh.error.find("cannot fork"), std::string::npos);
}

TEST(MemberOutput, KeepsTheReasonOfWhatIsUnknown) {
    std::string text = with_section(
        debian(), "patroni_package", "dpkg-query: no packages found matching patroni", 1);
    text = with_section(text, "unit", "LoadState=not-found\nActiveState=inactive", 0);
    text = with_section(text, "host", "", 0);
    text = with_section(text, "disk", "the data directory is unknown", 1);
    const MemberFacts member = read(text);
    EXPECT_EQ(member.unknown.at("patroni_package"),
              "dpkg-query: no packages found matching patroni");
    EXPECT_EQ(member.unknown.at("unit"), "systemd has no unit patroni");
    EXPECT_EQ(member.unknown.at("disk"), "the data directory is unknown");
    EXPECT_TRUE(member.patroni.installed.empty());
    EXPECT_FALSE(member.unit);
}

TEST(MemberOutput, KnowsWhichPackagesAreOnHold) {
    EXPECT_FALSE(read(debian()).patroni.held);
    const MemberFacts member = read(
        with_section(debian(), "patroni_package", "package=patroni installed 4.0.7-3 hold", 0));
    EXPECT_EQ(member.patroni.installed, "4.0.7-3");
    EXPECT_TRUE(member.patroni.held);
    EXPECT_FALSE(
        read(with_section(
                 debian(), "patroni_package", "package=patroni installed 4.0.7-3 install", 0))
            .patroni.held);
}

TEST(MemberOutput, TellsTheDiskOfTheDataFromThatOfItsWal) {
    const std::string head = "Filesystem 1-blocks Used Available Capacity Mounted on\n";
    const std::string wal = "/dev/b 100 20 80 20% /my wal\n";
    MemberFacts member = read(with_section(debian(), "disk", head + wal + wal, 0));
    EXPECT_EQ(member.disk->mount, "/my wal");
    EXPECT_FALSE(member.data_disk);
    member = read(with_section(debian(), "disk", head + wal + "/dev/a 50 40 10 80% /data", 1));
    EXPECT_EQ(member.disk->mount, "/my wal");
    ASSERT_TRUE(member.data_disk);
    EXPECT_EQ(member.data_disk->mount, "/data");
    EXPECT_EQ(member.data_disk->free_bytes, 10);
}

TEST(MemberOutput, HoldsWhyPostgresqlDoesNotRun) {
    const MemberFacts member =
        read(with_section(debian(),
                          "postmaster",
                          "said=FATAL:  a\nsaid=FATAL:  b\nsaid=c\nsaid=d\nno postmaster",
                          1));
    EXPECT_EQ(member.last_words, (std::vector<std::string>{"FATAL:  b", "c", "d"}));
    EXPECT_TRUE(read(debian()).last_words.empty());
}

TEST(MemberOutput, TakesTheLastWordOfNeedrestartForItsMode) {
    const auto upkeep = [](const std::string& text) {
        return *read(debian() + "\n@" + k_recorded_nonce + " begin upkeep\n" + text + "\n@" +
                     k_recorded_nonce + " end 0\n")
                    .upkeep;
    };
    EXPECT_TRUE(upkeep("needrestart=yes\nmode=a\non=").needrestart);
    EXPECT_TRUE(upkeep("needrestart=yes\nmode=u\non=").needrestart);
    EXPECT_FALSE(upkeep("needrestart=yes\nmode=i\non=").needrestart);
    EXPECT_FALSE(upkeep("mode=a\non=1").needrestart) << "its files alone restart nothing";
    EXPECT_FALSE(upkeep("mode=i\non=1").unattended) << "no timer";
    EXPECT_FALSE(upkeep("timer=yes\nmode=i\non=0").unattended);
    EXPECT_TRUE(upkeep("timer=yes\nmode=i\non=1").unattended);
    EXPECT_FALSE(read(debian()).upkeep);
}

TEST(MemberOutput, TakesAHalfInstalledPackageForNone) {
    const MemberFacts member =
        read(with_section(debian(),
                          "patroni_package",
                          "package=patroni half-configured 4.0.7-3\nchanged=1795423662",
                          0));
    EXPECT_TRUE(member.patroni.installed.empty());
    EXPECT_EQ(member.unknown.at("patroni_package"), "the package patroni is half-configured");
}

TEST(MemberOutput, ReadsRpmAndDnf) {
    std::string text =
        with_section(debian(),
                     "patroni_package",
                     "package=patroni installed 4.0.7-1PGDG.rhel9\nchanged=1795423662",
                     0);
    text =
        with_section(text, "available", "version=4.0.6-1PGDG.rhel9\nversion=4.0.7-1PGDG.rhel9", 0);
    const MemberFacts member = read(text);
    EXPECT_EQ(member.patroni.installed, "4.0.7-1PGDG.rhel9");
    EXPECT_EQ(member.patroni.available,
              (std::vector<std::string>{"4.0.6-1PGDG.rhel9", "4.0.7-1PGDG.rhel9"}));
}

/// A member whose host section says this of its processes.
std::string with_process(const std::string& line) {
    return with_section(debian(), "host", line, 0);
}

TEST(MemberOutput, TellsAPatroniInAContainerFromNone) {
    const std::string missing = "Id=patroni.service\nLoadState=not-found\nActiveState=inactive";
    const auto unknown = [&](const std::string& line) {
        return read(with_section(with_process(line), "unit", missing, 0)).unknown.at("unit");
    };
    EXPECT_EQ(unknown(""), "systemd has no unit patroni");
    EXPECT_EQ(unknown("patroni=77 9:name=systemd:/ 8:pids:/docker/1f2e"),
              "systemd has no unit patroni; a Patroni runs there as pid 77, in a container "
              "(/docker/1f2e)");
    EXPECT_EQ(
        unknown("patroni=77 0::/system.slice/ha.service"),
        "systemd has no unit patroni; a Patroni runs there as pid 77, and not under this name");
}

TEST(MemberOutput, SaysThatThereIsNoSystemd) {
    const std::string text =
        replaced(with_process("patroni=12 0::/kubepods/pod3"), "systemd=yes", "systemd=no");
    const MemberFacts member = read(with_section(text, "unit", "sh: 9: systemctl: not found", 127));
    ASSERT_TRUE(member.os);
    EXPECT_EQ(member.os->systemd, false);
    EXPECT_FALSE(member.unit);
    EXPECT_FALSE(member.on_host);
    EXPECT_EQ(member.unknown.at("unit"),
              "it was not booted with systemd; a Patroni runs there as pid 12, in a container "
              "(/kubepods/pod3)");
}

TEST(MemberOutput, AStoppedDaemonHasNoStartTime) {
    const MemberFacts member = read(with_section(
        debian(),
        "unit",
        "MainPID=0\nExecMainStartTimestamp=Mon 2026-11-23 09:10:18 UTC\nLoadState=loaded\n"
        "ActiveState=failed\nSubState=failed",
        0));
    ASSERT_TRUE(member.unit);
    EXPECT_EQ(member.unit->active_state, "failed");
    EXPECT_EQ(member.unit->started_at, 0);
}

TEST(MemberOutput, WithoutALookAtLeftoversKnowsNothingOfThem) {
    EXPECT_FALSE(read(debian()).leftover);
}

/// The script itself, on this machine, with a folder of lockstep that the test fills.
MemberFacts observed(const ShellHost& host,
                     const std::string& scope = "orders",
                     const std::vector<std::string>& places = {}) {
    MemberScript here = script();
    here.os_user.clear();
    here.scope = scope;
    MemberFacts member;
    // Reading the package lists takes a second, and is not what this is about.
    std::string text = replaced(render(here), "apt-cache madison", "true");
    for (const std::string& place : places) {
        for (std::size_t at = 0; (at = text.find(place, at)) != std::string::npos;) {
            text.replace(at, place.size(), host.path(place.substr(1)));
            at += host.path(place.substr(1)).size();
        }
    }
    read_output(here, host.run({.script = text}), member);
    EXPECT_TRUE(member.ssh.ok()) << member.ssh.error;
    return member;
}

TEST(MemberScript, FindsNothingOfLockstepWhereItNeverWas) {
    const ShellHost host;
    const MemberFacts member = observed(host);
    ASSERT_TRUE(member.leftover);
    EXPECT_FALSE(member.leftover->lock);
    EXPECT_TRUE(member.leftover->spool.empty());
    EXPECT_FALSE(host.has(""));
}

TEST(MemberScript, FindsTheLockAndTheCommandsOfRuns) {
    const ShellHost host;
    const std::string boot = ShellHost::own_start().substr(ShellHost::own_start().rfind(' ') + 1);
    host.write("lock.orders",
               "id=a1\nrun=r1\nwho=ann@ops1\nsince=1795425018\nexpires=1\nleft=patroni.pause\n");
    host.write("lock.billing", "id=b1\nrun=r2\n");
    host.runs_command("r1.install.n1.1");
    host.runs_command("r1.restart.n1.1");
    host.runs_command("r2.install.n1.1");  // of the run that has the lock of another cluster
    host.write("spool/r1.restart.n1.1/rc", "ended 0\n");
    host.write("spool/r0.died/started", "1 1 " + boot + "\n");
    host.write("spool/r0.never/cmd", "true\n");
    host.write("spool/r0.withdrawn/started", "- me it did not start\n");
    const MemberFacts member = observed(host);
    ASSERT_TRUE(member.leftover);
    ASSERT_TRUE(member.leftover->lock);
    const LockFacts& lock = *member.leftover->lock;
    EXPECT_EQ(lock.id, "a1");
    EXPECT_EQ(lock.run, "r1");
    EXPECT_EQ(lock.who, "ann@ops1");
    EXPECT_EQ(lock.since, 1795425018);
    EXPECT_EQ(lock.left, "patroni.pause");
    EXPECT_LT(lock.expires_in_seconds, -1000000000);
    EXPECT_FALSE(lock.held());
    std::map<std::string, std::string> states;
    for (const SpoolEntry& entry : member.leftover->spool) {
        states[entry.key] = entry.state;
        EXPECT_GE(entry.age_seconds, 0);
        EXPECT_LT(entry.age_seconds, 600);
    }
    const std::map<std::string, std::string> expected = {
        {"r1.install.n1.1", "running"}, {"r1.restart.n1.1", "ended"}, {"r0.died", "died"}};
    EXPECT_EQ(states, expected);
}

// A host may have members of several clusters, and their runs share the folder.
TEST(MemberScript, LeavesOutTheCommandsOfRunsOnOtherClusters) {
    const ShellHost host;
    host.write("lock.orders", "id=a1\nrun=r1\n");
    host.write("lock.billing", "id=b1\nrun=r2\n");
    for (const char* key : {"r1.a", "r2.a", "r3.a", "r4.a", "r5.a"}) {
        host.runs_command(key);
    }
    host.write("spool/r3.a/scope", "billing\n");
    host.write("spool/r4.a/scope", "orders\n");
    const MemberFacts member = observed(host);
    ASSERT_TRUE(member.leftover);
    std::map<std::string, bool> known;
    for (const SpoolEntry& entry : member.leftover->spool) {
        known[entry.key] = entry.owner_known;
    }
    const std::map<std::string, bool> expected = {{"r1.a", true}, {"r4.a", true}, {"r5.a", false}};
    EXPECT_EQ(known, expected);
}

/// The files of a host that upgrades itself, in a folder of the test.
class Upkeep : public testing::Test {
  protected:
    Upkeep() {
        for (const char* program : {"usr/sbin/needrestart", "usr/bin/unattended-upgrade"}) {
            host.write(program, "");
            std::filesystem::permissions(host.path(program), std::filesystem::perms::owner_all);
        }
        host.write("etc/needrestart/needrestart.conf",
                   "#$nrconf{restart} = 'a';\n$nrconf{override_rc} = {\n  qr(^dbus) => 0,\n"
                   "  # qr(^patroni) => 0,\n  qr(^etcd) => 1,\n};\n");
        host.write("etc/apt/apt.conf.d/50unattended-upgrades",
                   "Unattended-Upgrade::Origins-Pattern {\n"
                   "  \"origin=Debian,codename=${distro_codename},label=Debian\";\n"
                   "//  \"origin=apt.postgresql.org\";\n};\n"
                   "Unattended-Upgrade::Package-Blacklist {\n  // \"patroni\";\n"
                   "  \"linux-\"; \"libc6$\";\n};\n");
        host.write("etc/apt/apt.conf.d/20auto-upgrades",
                   "APT::Periodic::Update-Package-Lists \"1\";\n"
                   "APT::Periodic::Unattended-Upgrade \"1\";\n");
        host.write("etc/systemd/system/timers.target.wants/other", "");
    }

    void enable_timer() const {
        std::filesystem::create_symlink(
            "/lib/systemd/system/apt-daily-upgrade.timer",
            host.path("etc/systemd/system/timers.target.wants/apt-daily-upgrade.timer"));
    }

    [[nodiscard]] std::optional<UpkeepFacts> upkeep() const {
        const MemberFacts member = observed(host,
                                            "orders",
                                            {"/usr/sbin/needrestart",
                                             "/usr/bin/unattended-upgrade",
                                             "/usr/sbin/policy-rc.d",
                                             "/etc/needrestart/",
                                             "/etc/apt/apt.conf.d/",
                                             "/etc/systemd/system/"});
        EXPECT_TRUE(member.upkeep) << "this test is for a machine with apt";
        return member.upkeep;
    }

    ShellHost host;
    using Texts = std::vector<std::string>;
};

TEST_F(Upkeep, IsReadFromTheFilesOfItsPrograms) {
    std::optional<UpkeepFacts> seen = upkeep();
    ASSERT_TRUE(seen);
    EXPECT_FALSE(seen->needrestart);
    EXPECT_EQ(seen->spared, Texts{}) << "a comment spares nobody";
    EXPECT_FALSE(seen->unattended) << "its timer is not enabled";
    EXPECT_FALSE(seen->unattended_pgdg);
    EXPECT_EQ(seen->unattended_not, (Texts{"linux-", "libc6$"}));
    EXPECT_FALSE(seen->no_restarts);
    enable_timer();
    host.write("etc/needrestart/conf.d/50.conf",
               "$nrconf{restart} = 'a';\n$nrconf{override_rc}{qr(^patroni|^postgres)} = 0;\n");
    host.write("etc/apt/apt.conf.d/99own",
               "Unattended-Upgrade::Package-Blacklist:: \"patroni\";\n"
               "Unattended-Upgrade::Origins-Pattern:: \"site=apt.postgresql.org\";\n");
    host.write("usr/sbin/policy-rc.d", "#!/bin/sh\n# exit 0\nexit 101\n");
    std::filesystem::permissions(host.path("usr/sbin/policy-rc.d"),
                                 std::filesystem::perms::owner_all);
    seen = upkeep();
    ASSERT_TRUE(seen);
    EXPECT_TRUE(seen->needrestart);
    EXPECT_EQ(seen->spared, (Texts{"patroni", "postgres"}));
    EXPECT_TRUE(seen->unattended);
    EXPECT_TRUE(seen->unattended_pgdg);
    EXPECT_EQ(seen->unattended_not, (Texts{"linux-", "libc6$", "patroni"}));
    EXPECT_TRUE(seen->no_restarts);
}

TEST_F(Upkeep, OfUbuntuRestartsUnlessAModeIsSet) {
    host.write("etc/apt/apt.conf.d/99needrestart",
               "DPkg::Post-Invoke {\"test -x /usr/lib/needrestart/apt-pinvoke && "
               "/usr/lib/needrestart/apt-pinvoke -m u || true\"; };\n");
    EXPECT_TRUE(upkeep()->needrestart);
    host.write("etc/needrestart/conf.d/50.conf", "$nrconf{restart} = 'l';\n");
    EXPECT_FALSE(upkeep()->needrestart);
}

TEST_F(Upkeep, OfAMaskedTimerIsNone) {
    enable_timer();
    EXPECT_TRUE(upkeep()->unattended);
    std::filesystem::create_symlink("/dev/null",
                                    host.path("etc/systemd/system/apt-daily-upgrade.timer"));
    EXPECT_FALSE(upkeep()->unattended);
}

/// The statement on a server, by psql, as the script sends it.
TEST(Observation, SeesTheOldestTransactionOfAServer) {
    if (!TestPostgres::installed()) {
        GTEST_SKIP() << "needs a PostgreSQL server";
    }
    const TestPostgres server;
    const ShellHost host;
    MemberScript here = script();
    here.os_user = TestPostgres::user();
    here.port = static_cast<std::uint16_t>(server.port());
    const std::string text = replaced(render(here), "apt-cache madison", "true");
    const auto look = [&](const std::string& script_text) {
        MemberFacts member;
        read_output(here, host.run({.script = script_text}), member);
        EXPECT_TRUE(member.sql.ok()) << member.sql.error;
        return member;
    };
    // As psql asks a server before 13: the part between \if and \endif is left out.
    const std::string old = replaced(replaced(text, ">= 130000", ">= 990000"),
                                     "pg_stat_progress_basebackup",
                                     "pg_what_it_does_not_have");
    MemberFacts member = look(old);
    ASSERT_TRUE(member.wal);
    member = look(text);
    ASSERT_TRUE(member.wal);
    EXPECT_FALSE(member.wal->oldest_transaction);
    const std::string psql = TestPostgres::become() + " psql -XAtq -h " +
                             server.socket_directory() + " -p " + std::to_string(server.port()) +
                             " -d postgres -c ";
    (void)host.run({.script = "cd /; PGAPPNAME=batch " + psql +
                              "'select txid_current(); select pg_sleep(60)' >/dev/null 2>&1 "
                              "</dev/null & n=0\nuntil [ $n = 100 ] || [ \"$(" +
                              psql +
                              "'select count(*) from pg_stat_activity where backend_xid is not "
                              "null')\" = 1 ]; do n=$((n + 1)); sleep 0.1; done"});
    member = look(text);
    ASSERT_TRUE(member.wal);
    ASSERT_TRUE(member.wal->oldest_transaction);
    EXPECT_GT(member.wal->oldest_transaction->pid, 0);
    EXPECT_EQ(member.wal->oldest_transaction->name, "batch");
    EXPECT_FALSE(member.wal->oldest_transaction->xid.empty());
}

TEST(MemberScript, KnowsNoLockWithoutAScope) {
    const ShellHost host;
    host.write("lock.orders", "id=a1\n");
    EXPECT_FALSE(observed(host, "").leftover);
}

TEST(Observation, AsksAnOldServerForNothingThatItLacks) {
    for (const int major : {0, 11, 12}) {
        EXPECT_EQ(observation_query(major).find("archive_statusdir"), std::string::npos) << major;
        EXPECT_EQ(observation_query(major).find("progress_basebackup"), std::string::npos) << major;
    }
    EXPECT_NE(observation_query(13).find("pg_ls_archive_statusdir"), std::string::npos);
    EXPECT_NE(observation_query(18).find("pg_stat_progress_basebackup"), std::string::npos);
    EXPECT_EQ(observation_query(13).find("{13}"), std::string::npos);
    EXPECT_EQ(observation_query(11).find("{13}"), std::string::npos);
}

TEST(Observation, HasNoArchiverWhereNothingIsArchived) {
    MemberFacts member;
    read_observation(R"({"in_recovery": true, "slots": [], "archiver": null, "waiting": null})",
                     member);
    EXPECT_FALSE(member.wal->archiver);
    EXPECT_FALSE(member.wal->archiving_fails);
}

// PostgreSQL 12: no wal_status, no safe_wal_size, wal_keep_segments for wal_keep_size.
TEST(Observation, OfAnOldServerLacksColumnsAndCountsSegments) {
    MemberFacts member;
    read_observation(
        R"({"in_recovery": false, "position": "1/10", "redo": "0/FF000028", "timeline": 1,
        "wal": {"bytes": 33554432, "files": 2, "oldest": "00000000000000FE"},
        "slots": [{"slot_name": "old", "slot_type": "physical", "active": false, "restart_lsn": null}],
        "settings": {"wal_segment_size": ["16777216", "B"], "max_wal_size": ["1024", "MB"],
                     "min_wal_size": ["80", "MB"], "wal_keep_segments": ["8", null]},
        "server_version": 120022})",
        member);
    EXPECT_EQ(member.wal->keep_size, 8 * 16777216);
    EXPECT_EQ(member.wal->oldest, 0xFE000000U);
    EXPECT_EQ(member.wal->held_bytes(), 16777216);
    EXPECT_EQ(member.postgres.running, "12.22");
    EXPECT_TRUE(member.slots->at(0).wal_status.empty());
    EXPECT_EQ(member.slots->at(0).retained_bytes, std::nullopt);
}

TEST(Observation, CountsSegmentsOfAnySize) {
    MemberFacts member;
    read_observation(
        R"({"in_recovery": false, "position": "1/10", "redo": "2/80000028", "slots": [],
        "wal": {"oldest": "0000000200000001"}, "settings": {"wal_segment_size": ["1073741824", "B"]}})",
        member);
    EXPECT_EQ(member.wal->oldest, (Lsn{2} << 32U) + 0x40000000U);
    EXPECT_EQ(member.wal->held_bytes(), 1073741824);
}

TEST(ObservedTime, IsTheSameMomentInEveryRendering) {
    for (const char* text : {"2026-11-23 09:11:42.825040+00:00",
                             "2026-11-23 10:11:42.825+01",
                             "2026-11-23T04:41:42.825999-04:30",
                             "2026-11-23 14:56:42.825+0545",
                             "2026-11-23 09:11:42.825 UTC",
                             "2026-11-23 09:11:42.825Z"}) {
        EXPECT_EQ(to_utc(text), "2026-11-23T09:11:42.825Z") << text;
    }
    EXPECT_EQ(to_utc("2026-11-23 09:11:42+00:00"), "2026-11-23T09:11:42.000Z");
    EXPECT_EQ(seconds_of_utc("2026-11-23 09:11:42.825+00:00"), 1795425102);
    for (const char* unknown : {"yesterday", "", "2026-11-23 09:11:42 CEST"}) {
        EXPECT_EQ(to_utc(unknown), "") << unknown;
        EXPECT_FALSE(seconds_of_utc(unknown)) << unknown;
    }
}

TEST(ObservedTime, OfSystemdIsReadInUtcAlone) {
    EXPECT_EQ(systemd_time("Mon 2026-11-23 09:10:18 UTC"), 1795425018);
    EXPECT_EQ(systemd_time("Mon 2026-11-23 10:10:18 CET"), std::nullopt);
    EXPECT_EQ(systemd_time(""), std::nullopt);
    EXPECT_EQ(systemd_time("n/a"), std::nullopt);
}

}  // namespace
}  // namespace lockstep
