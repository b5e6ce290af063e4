// How long it takes to plan patroni-upgrade for 100 clusters of three members on recorded facts:
// the members answer at once, so that what is measured is the planner. The rival is the looking:
// the same clusters observed and diagnosed, which a check does. Prints seconds and the ratio.
#include "cli/runbooks.hpp"
#include "engine/plan/planner.hpp"
#include "steps/catalog.hpp"
#include "steps/live_runner.hpp"
#include "tests/fakes/fake_cluster.hpp"

#include <chrono>
#include <cstdio>
#include <stdexcept>

namespace {

using namespace lockstep;

constexpr int k_clusters = 100;
constexpr const char* k_target = "4.0.7-3~deb13u1";

double seconds_since(std::chrono::steady_clock::time_point begun) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

/// Facts are looked at once, and handed out again and again.
class Recorded final : public StepRunner {
  public:
    explicit Recorded(LiveRunner& live) : live_(live), facts_(live.observe(true, {})) {
        findings_ = live.diagnose(facts_, {});
    }

    void remember_members(const ClusterFacts&) override {}

    ClusterFacts observe(bool, std::stop_token) override { return facts_; }

    std::vector<Finding> diagnose(ClusterFacts&, std::stop_token) override { return findings_; }

    nlohmann::json probe(const StepCall& call,
                         const ClusterFacts& facts,
                         std::stop_token stop) override {
        const auto key = call.id + "@" + call.member;
        const auto known = probed_.find(key);
        if (known != probed_.end()) {
            return known->second;
        }
        return probed_[key] = live_.probe(call, facts, std::move(stop));
    }

    Preview preview(const StepCall& call, const ClusterFacts& facts) override {
        return live_.preview(call, facts);
    }

    Reconciliation reconcile(const ClusterFacts& end) override { return live_.reconcile(end); }

    [[noreturn]] static void refuse() { throw std::logic_error("a plan changes nothing"); }

    LockGrant take_lock(const LockRequest&, const ClusterFacts&, std::stop_token) override {
        refuse();
    }

    std::string lock_trouble(std::stop_token) override { refuse(); }

    void release_lock(const std::string&) override { refuse(); }

    void clean_up(const std::string&, const ClusterFacts&) override { refuse(); }

    void start(std::size_t, StepCall, std::shared_ptr<const ClusterFacts>) override { refuse(); }

    std::optional<StepEvent> wait(std::chrono::milliseconds) override { refuse(); }

    void drop_read_ahead() override { refuse(); }

    void cancel_all() override { refuse(); }

    void start_write_probe(const ProbeSettings&, const ClusterFacts&) override { refuse(); }

    std::optional<ProbeReport> write_probe() override { refuse(); }

    void stop_write_probe() override { refuse(); }

    void notify(const std::string&, Notification) override { refuse(); }

    std::vector<std::string> notification_troubles() override { refuse(); }

    void finish_notifications(std::chrono::milliseconds) override { refuse(); }

  private:
    LiveRunner& live_;
    ClusterFacts facts_;
    std::vector<Finding> findings_;
    std::map<std::string, nlohmann::json> probed_;
};

}  // namespace

int main() {
    FakeCluster world;
    for (auto& [name, member] : world.members) {
        member.commands = [&installed = member.installed](const std::string&) {
            return command_result(0,
                                  "installed=installed " + installed +
                                      "\naudit=\navailable=4.0.7-3~deb13u1\navailable=3.0.2-1\n"
                                      "from=repository\n");
        };
    }
    world.has_version("n1", "3.0.2-1");
    world.has_version("n2", "3.0.2-1");
    Inventory inventory;
    inventory.clusters.push_back(world.cluster);
    LiveRunner live(world.cluster, world.factory(), world.clock);
    Recorded recorded(live);
    PlanRequest request;
    request.runbook = find_runbook("patroni-upgrade");
    request.inventory = &inventory;
    request.cluster = &world.cluster;
    request.inputs = read_inputs(*request.runbook, {{"target", k_target}});
    request.actions = &action_catalog();
    if (!make_plan(request, recorded, {}).ready()) {
        std::puts("the plan is not ready: nothing is measured");
        return 1;
    }
    auto begun = std::chrono::steady_clock::now();
    for (int n = 0; n < k_clusters; ++n) {
        (void)make_plan(request, recorded, {});
    }
    const double planned = seconds_since(begun);
    begun = std::chrono::steady_clock::now();
    for (int n = 0; n < k_clusters; ++n) {
        ClusterFacts facts = live.observe(true, {});
        (void)live.diagnose(facts, {});
    }
    const double looked = seconds_since(begun);
    std::printf("planning %d clusters of 3: %.2f s; looking at them: %.2f s; ratio %.2f\n",
                k_clusters,
                planned,
                looked,
                planned / looked);
    return 0;
}
