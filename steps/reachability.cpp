#include "steps/reachability.hpp"

#include "base/error.hpp"
#include "cluster/diagnosis.hpp"
#include "cluster/host_findings.hpp"

#include <chrono>
#include <iterator>
#include <optional>
#include <set>
#include <sstream>
#include <thread>

namespace lockstep {

namespace {

using Verdict = Way::Verdict;

constexpr std::chrono::seconds k_patience{15};

/// Programs of which a member needs one each.
struct Tool {
    std::vector<std::string_view> names;
    bool needed = true;
    std::string_view for_what;
};

const std::vector<Tool>& tools() {
    static const std::vector<Tool> k_tools{
        {{"systemctl"}, true, "units"},
        {{"dd"}, true, "commands"},
        {{"stat"}, true, "observations"},
        {{"df"}, true, "observations"},
        {{"apt-get", "dnf", "yum"}, true, "packages"},
        {{"dpkg-query", "rpm"}, true, "packages"},
        {{"flock"}, false, "locks that end with their holder"},
        {{"setsid"}, false, "commands that outlive a connection"},
        {{"timeout"}, false, "bounds to what hangs"},
    };
    return k_tools;
}

/// What a member has, by its own shell.
struct Seen {
    std::string user;
    std::set<std::string, std::less<>> programs;
};

std::string looking_script() {
    std::string names = "runuser psql curl sudo";
    for (const Tool& tool : tools()) {
        for (const std::string_view name : tool.names) {
            names += " " + std::string(name);
        }
    }
    return "PATH=$PATH:/usr/sbin:/sbin\nprintf 'user %s\\n' \"$(id -un)\"\nfor name in " + names +
           "; do command -v $name >/dev/null && printf 'has %s\\n' $name; done\ntrue\n";
}

Seen read_seen(const std::string& text) {
    Seen seen;
    std::istringstream stream(text);
    std::string word;
    std::string value;
    while (stream >> word >> value) {
        if (word == "user") {
            seen.user = value;
        } else if (word == "has") {
            seen.programs.insert(value);
        }
    }
    return seen;
}

/// The ways to one member.
class MemberWays {
  public:
    MemberWays(const Cluster& cluster,
               MemberConnections& link,
               const ClusterFacts& all,
               const MemberFacts& facts)
        : cluster_(cluster), link_(link), all_(all), facts_(facts) {}

    std::vector<Way> find(const std::stop_token& stop) {
        ssh(stop);
        if (seen_) {
            root(stop);
            programs();
        }
        identity();
        unit();
        rest();
        sql();
        return std::move(ways_);
    }

  private:
    Way& add(std::string name, std::string how, Access access) {
        const Verdict verdict = access.ok() ? Verdict::ok : Verdict::failed;
        ways_.push_back({.member = facts_.name,
                         .name = std::move(name),
                         .how = std::move(how),
                         .verdict = verdict,
                         .access = std::move(access),
                         .sudoers = {}});
        return ways_.back();
    }

    void ssh(const std::stop_token& stop);
    void root(const std::stop_token& stop);
    void programs();
    void identity();
    void unit();
    void rest();
    void sql();

    const Cluster& cluster_;
    MemberConnections& link_;
    const ClusterFacts& all_;
    const MemberFacts& facts_;
    std::optional<Seen> seen_;
    std::vector<Way> ways_;
};

void MemberWays::ssh(const std::stop_token& stop) {
    Access access{.asked = true};
    try {
        if (link_.ssh_settings.host.empty()) {
            throw Error("the host is not known, because Patroni does not list this member",
                        "Give ssh: {host: …} under members: in the inventory.");
        }
        const std::lock_guard lock(link_.ssh_use);
        const CommandResult result =
            link_.ssh->run({.script = looking_script()}, Deadline::after(k_patience), stop);
        seen_ = read_seen(result.out);
        if (seen_->user.empty()) {
            seen_.reset();
            throw Error("the shell of the login does not do what it is told: " +
                        result.err.substr(0, result.err.find('\n')));
        }
    } catch (const Error& error) {
        access.error = error.what();
        access.hint = error.hint();
    }
    const std::string client(link_.ssh->client());
    add("SSH", link_.ssh->peer() + (client.empty() ? "" : " by " + client), access);
}

void MemberWays::root(const std::stop_token& stop) {
    const SshSettings& settings = link_.ssh_settings;
    if (seen_->user == "root") {
        add("root", "logs in as root", {.asked = true});
        return;
    }
    if (settings.become == Become::none) {
        Way& way = add("root",
                       "stays " + seen_->user,
                       {.asked = true,
                        .hint = "Only looking works. Changes need root: set ssh.become: sudo in "
                                "the inventory, or log in as root."});
        way.verdict = Verdict::limited;
        way.sudoers = {sudoers_line(seen_->user)};
        return;
    }
    const std::string how =
        settings.become_password ? "sudo with a password" : "sudo without a password";
    Access access = facts_.ssh;  // what an observation's script met
    if (!access.asked) {
        access.asked = true;
        try {
            const std::lock_guard lock(link_.ssh_use);
            (void)link_.root().run({.script = "true"}, Deadline::after(k_patience), stop);
        } catch (const Error& error) {
            access.error = error.what();
            access.hint = error.hint();
            access.refused = true;
        }
    }
    Way& way = add("root", how, access);
    if (access.refused) {
        way.sudoers = {sudoers_line(seen_->user)};
        if (access.error.find("requiretty") != std::string::npos) {
            way.sudoers.push_back("Defaults:" + seen_->user + " !requiretty");
        }
    }
}

void MemberWays::programs() {
    std::string missing;
    std::string wanting;
    for (const Tool& tool : tools()) {
        bool there = false;
        std::string names;
        for (const std::string_view name : tool.names) {
            there = there || seen_->programs.contains(name);
            names += (names.empty() ? "" : " or ") + std::string(name);
        }
        if (!there) {
            std::string& list = tool.needed ? missing : wanting;
            list +=
                (list.empty() ? "" : "; ") + names + " (for " + std::string(tool.for_what) + ")";
        }
    }
    Access access{.asked = true};
    if (!missing.empty()) {
        access.error = "there is no " + missing;
        access.hint = "Install what is missing there.";
    } else if (!wanting.empty()) {
        access.hint = "It would work better with " + wanting + ".";
    }
    Way& way = add("tools", missing.empty() ? "all that is needed" : "not all", access);
    if (missing.empty() && !wanting.empty()) {
        way.verdict = Verdict::limited;
    }
}

/// Whether SSH leads to whom REST names; a host that does not tell is no other one.
void MemberWays::identity() {
    if (!facts_.ssh.ok() && facts_.odd_address.empty()) {
        return;  // its own row says why
    }
    for (const Finding& finding : mistaken_members(all_)) {
        if (finding.member == facts_.name) {
            add("identity",
                "is somebody else",
                {.asked = true, .error = finding.message, .hint = finding.remedy});
            return;
        }
    }
    const bool known = facts_.setup && !facts_.setup->name.empty();
    Access access{.asked = true};
    if (!known) {
        access.hint =
            "Whether this host is " + facts_.name +
            " is not known: Patroni's configuration there could not be read, or names nobody." +
            (facts_.unknown.contains("setup") ? " It says: " + facts_.unknown.at("setup") : "");
    }
    Way& way =
        add("identity",
            known ? facts_.setup->name + " of " + facts_.setup->scope + ", by its configuration"
                  : "not told",
            access);
    if (!known) {
        way.verdict = Verdict::limited;
    }
}

/// The same words as the findings of `check`, and as the refusals of a plan.
void MemberWays::unit() {
    if (!facts_.unit && !facts_.on_host) {
        return;  // the observation did not come so far
    }
    std::string how = cluster_.patroni_service;
    how += facts_.unit ? ", " + facts_.unit->active_state : "";
    std::vector<Finding> found;
    if (const auto finding = unit_is_not_what_runs(facts_)) {
        add("unit", how, {.asked = true, .error = finding->message, .hint = finding->remedy});
        return;
    }
    for (const auto& finding :
         {unit_stops_postgres(facts_), program_is_not_packaged(facts_, cluster_.patroni_package)}) {
        if (finding) {
            found.push_back(*finding);
        }
    }
    for (Finding& finding : package_reaches_others(facts_)) {
        found.push_back(std::move(finding));
    }
    Access access{.asked = true};
    for (const Finding& finding : found) {
        access.hint += (access.hint.empty() ? "" : " ") + finding.message + ". " + finding.remedy;
    }
    Way& way = add("unit", how, access);
    if (!found.empty()) {
        way.verdict = Verdict::limited;
    }
}

void MemberWays::rest() {
    const PatroniSettings& patroni = cluster_.patroni;
    std::string how = patroni.via == PatroniSettings::Via::ssh ? "http" : "http, not authenticated";
    if (facts_.api_url.starts_with("https://")) {
        how = patroni.insecure_skip_verify ? "https, NOT verified" : "https, verified";
        how += patroni.cert_file.empty() ? "" : ", with a certificate";
    }
    how += patroni.via == PatroniSettings::Via::ssh ? ", by its own curl" : "";
    add("REST", how, facts_.api);
    const std::string who = patroni.username.empty() ? "without a name" : "as " + patroni.username;
    Access write = facts_.api_write;
    if (!write.asked) {
        write = {.asked = true, .error = "not asked, because reading does not work"};
    }
    add("REST changes", who, write);
}

void MemberWays::sql() {
    const PostgresSettings& postgres = cluster_.postgres;
    const bool direct = postgres.via == PostgresSettings::Via::direct;
    std::string how = direct ? "libpq from here" : "psql there, as " + postgres.os_user;
    Access access = facts_.sql;
    if (!direct && facts_.ssh.failed()) {  // its own row says why
        access.error = "not asked, because the script of the observation did not run";
    }
    if (!direct && access.failed() && seen_ && !seen_->programs.contains("psql") &&
        access.hint.empty()) {
        access.hint =
            "There is no psql in the PATH: install the PostgreSQL client on the member, "
            "or set postgres.via: direct.";
    }
    add("SQL", how, access);
}

}  // namespace

std::vector<Way> find_reachability(Connections& connections,
                                   const ClusterFacts& facts,
                                   std::stop_token stop) {
    std::vector<std::vector<Way>> found(facts.members.size());
    std::vector<MemberConnections*> at;
    for (const MemberFacts& member : facts.members) {
        at.push_back(&connections.of(member));
    }
    {
        std::vector<std::jthread> threads;
        for (std::size_t n = 0; n < found.size(); ++n) {
            threads.emplace_back([&, n] {
                found[n] =
                    MemberWays(connections.cluster(), *at[n], facts, facts.members[n]).find(stop);
            });
        }
    }
    std::vector<Way> ways;
    for (std::vector<Way>& of_member : found) {
        ways.insert(ways.end(),
                    std::make_move_iterator(of_member.begin()),
                    std::make_move_iterator(of_member.end()));
    }
    return ways;
}

}  // namespace lockstep
