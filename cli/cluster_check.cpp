#include "cli/cluster_check.hpp"

#include "base/error.hpp"
#include "base/or_null.hpp"
#include "cluster/diagnosis.hpp"
#include "cluster/growth.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>

namespace lockstep {

namespace {

using Json = nlohmann::json;

// Each waits for the network most of the time, and one that hangs must not make others wait.
constexpr std::size_t k_most_clusters_at_once = 64;

int rank(CheckStatus status) {
    switch (status) {
        case CheckStatus::ok:
            return 0;
        case CheckStatus::warning:
            return 1;
        case CheckStatus::unknown:
            return 2;
        case CheckStatus::critical:
            break;
    }
    return 3;
}

}  // namespace

std::string_view to_text(CheckStatus status) {
    switch (status) {
        case CheckStatus::ok:
            return "ok";
        case CheckStatus::warning:
            return "warning";
        case CheckStatus::critical:
            return "critical";
        case CheckStatus::unknown:
            break;
    }
    return "unknown";
}

CheckStatus CheckResult::status() const {
    if (!observed()) {
        return CheckStatus::unknown;
    }
    const Severity severity = lockstep::worst(findings);
    return severity == Severity::critical  ? CheckStatus::critical
           : severity == Severity::warning ? CheckStatus::warning
                                           : CheckStatus::ok;
}

CheckStatus worst(const std::vector<CheckResult>& results) {
    CheckStatus status = CheckStatus::ok;
    for (const CheckResult& result : results) {
        if (rank(result.status()) > rank(status)) {
            status = result.status();
        }
    }
    return status;
}

Json to_json(const CheckResult& result) {
    if (!result.observed()) {
        return {{"cluster", result.cluster},
                {"name", result.cluster},
                {"status", to_text(result.status())},
                {"error", result.error},
                {"hint", or_null(result.hint)},
                {"observed_at", to_iso8601(result.at)},
                {"findings", Json::array()}};
    }
    Json document = result.facts.to_json();
    document["status"] = to_text(result.status());
    Json& findings = document["findings"] = Json::array();
    for (const Finding& finding : result.findings) {
        findings.push_back(finding.to_json());
    }
    return document;
}

Json to_json(const std::vector<CheckResult>& results) {
    Json clusters = Json::array();
    for (const CheckResult& result : results) {
        clusters.push_back(to_json(result));
    }
    return {{"status", to_text(worst(results))}, {"clusters", clusters}};
}

ClusterChecks::ClusterChecks(const std::vector<const Cluster*>& clusters,
                             SampleHistory& history,
                             Clock& clock,
                             const Settings& settings)
    : history_(history), clock_(clock) {
    for (const Cluster* cluster : clusters) {
        auto runner = std::make_unique<LiveRunner>(*cluster, settings.connections, clock);
        LiveRunner::Looking how;
        how.timeout = settings.member_timeout;
        how.second_timeout = settings.member_timeout;
        how.second_sample = settings.second_sample;
        how.settle = [this](ClusterFacts& now) {
            if (!has_suspicious_slots(now)) {
                return true;
            }
            const auto earlier = earlier_for_slots(history_.recent(now, stuck_interval(now)), now);
            return earlier && settle_by_earlier(now, *earlier);
        };
        runner->look(std::move(how));
        clusters_.push_back({cluster, std::move(runner)});
    }
}

std::vector<CheckResult> ClusterChecks::look(std::stop_token stop) {
    std::vector<CheckResult> results(clusters_.size());
    std::atomic<std::size_t> next{0};
    std::vector<std::jthread> threads;
    for (std::size_t n = 0; n < std::min(clusters_.size(), k_most_clusters_at_once); ++n) {
        threads.emplace_back([&] {
            for (std::size_t task = next++; task < clusters_.size(); task = next++) {
                results[task] = look_at(clusters_[task], stop);
            }
        });
    }
    threads.clear();  // joins them
    if (stop.stop_requested()) {
        throw TransportError(TransportError::Kind::cancelled, "the check was cancelled");
    }
    return results;
}

CheckResult ClusterChecks::look_at(One& one, const std::stop_token& stop) {
    CheckResult result;
    result.cluster = one.cluster->name;
    const auto begun = clock_.steady_now();
    try {
        observe(one, result, stop);
    } catch (const Error& error) {
        result.error = error.what();
        result.hint = error.hint();
    } catch (const std::exception& error) {
        result.error = std::string("internal error: ") + error.what();
    }
    result.at = clock_.wall_now();
    result.took =
        std::chrono::duration_cast<std::chrono::milliseconds>(clock_.steady_now() - begun);
    return result;
}

void ClusterChecks::observe(One& one, CheckResult& result, const std::stop_token& stop) {
    result.facts = one.runner->observe(true, stop);
    if (result.facts.paused) {
        result.facts.paused_since = history_.paused_since(result.cluster);
    }
    std::vector<Sample> samples = history_.recent(result.facts, k_growth_window);
    result.facts.missing = missing_members(samples, result.facts);
    classify_slots(result.facts);
    const auto sampled_at = result.facts.sampled_at;
    result.findings = one.runner->diagnose(result.facts, stop);
    if (result.facts.sampled_at != sampled_at) {  // a second look, of a later moment
        samples = history_.recent(result.facts, k_growth_window);
    }
    judge_growth(result.facts, samples, result.findings);
    history_.add(result.facts);
}

}  // namespace lockstep
