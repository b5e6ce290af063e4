// How long `check --all` takes for 34 clusters of three members, of which every tenth hangs until
// its deadline. On fakes: what is measured is that clusters and members wait side by side. Prints
// seconds; see README.md.
#include "base/error.hpp"
#include "cli/cluster_check.hpp"
#include "tests/fakes/fake_cluster.hpp"
#include "tests/transport/temp_dir.hpp"

#include <atomic>
#include <cstdio>
#include <thread>

namespace {

using namespace lockstep;
using namespace std::chrono_literals;

constexpr std::size_t k_clusters = 34;
constexpr auto k_member_timeout = 4s;
constexpr auto k_member_takes = 300ms;  // a login and the script, as seen on three idle hosts

/// A session that takes as long as a real one, or never answers.
class SlowSession final : public SshSession {
  public:
    SlowSession(std::unique_ptr<SshSession> session, bool hangs)
        : session_(std::move(session)), hangs_(hangs) {}

    CommandResult run(const RemoteCommand& command,
                      Deadline deadline,
                      std::stop_token stop) override {
        if (hangs_) {
            std::this_thread::sleep_for(deadline.remaining());
            throw TransportError(TransportError::Kind::timeout, peer() + " does not answer");
        }
        std::this_thread::sleep_for(k_member_takes);
        return session_->run(command, deadline, std::move(stop));
    }

    [[nodiscard]] std::string peer() const override { return session_->peer(); }

  private:
    std::unique_ptr<SshSession> session_;
    bool hangs_;
};

}  // namespace

int main() {
    const TempDir dir;
    SystemClock clock;
    SampleHistory history(dir.path("state"), clock);
    FakeCluster world;
    std::vector<Cluster> clusters(k_clusters, world.cluster);
    std::vector<const Cluster*> wanted;
    for (std::size_t n = 0; n < k_clusters; ++n) {
        clusters[n].name = "c" + std::to_string(n);
        wanted.push_back(&clusters[n]);
    }
    std::atomic<int> sessions = 0;
    ClusterChecks::Settings settings;
    settings.member_timeout = k_member_timeout;
    settings.connections = world.factory();
    settings.connections.ssh = [&, make = settings.connections.ssh](SshEndpoint endpoint) {
        return std::make_unique<SlowSession>(make(std::move(endpoint)), ++sessions % 10 == 0);
    };
    ClusterChecks checks(wanted, history, clock, settings);
    for (const char* name : {"first look", "second look"}) {
        const auto begun = std::chrono::steady_clock::now();
        const std::vector<CheckResult> results = checks.look({});
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
        std::size_t silent = 0;
        for (const CheckResult& result : results) {
            for (const MemberFacts& member : result.facts.members) {
                silent += member.ssh.failed() ? 1U : 0U;
            }
        }
        std::printf("%s: %.2f s for %zu clusters, %d members, of which %zu hang for %d s\n",
                    name,
                    took.count(),
                    results.size(),
                    sessions.load(),
                    silent,
                    static_cast<int>(k_member_timeout.count()));
    }
    return 0;
}
