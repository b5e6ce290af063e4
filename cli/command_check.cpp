#include "base/error.hpp"
#include "base/suggest.hpp"
#include "cli/check_watch.hpp"
#include "cli/cluster_check.hpp"
#include "cli/commands.hpp"
#include "cli/inventory_file.hpp"
#include "cli/output_file.hpp"
#include "cli/signals.hpp"
#include "cli/texts.hpp"
#include "cli/unfinished_run.hpp"

#include <unistd.h>

#include <algorithm>
#include <iostream>

namespace lockstep {

namespace {

std::vector<WalExplanation> explanations(const Options& options, const ClusterFacts& facts) {
    if (options.member.empty()) {
        return explain_wal(facts);
    }
    if (const MemberFacts* member = facts.find(options.member)) {
        return {explain_wal(facts, *member)};
    }
    std::vector<std::string> names;
    for (const MemberFacts& member : facts.members) {
        names.push_back(member.name);
    }
    throw UsageError("the cluster " + facts.name + " has no member \"" + options.member + "\"",
                     did_you_mean(options.member, names));
}

std::vector<const Cluster*> wanted_clusters(const Options& options, const Inventory& inventory) {
    if (!options.all) {
        return {&inventory.cluster(options.cluster)};
    }
    std::vector<const Cluster*> clusters;
    for (const Cluster& cluster : inventory.clusters) {
        clusters.push_back(&cluster);
    }
    return clusters;
}

nlohmann::json json_of(const Options& options, const CheckResult& result) {
    nlohmann::json document = to_json(result);
    if (!options.explain.empty()) {
        document["explanation"] = nlohmann::json::array();
        for (const WalExplanation& explanation : explanations(options, result.facts)) {
            document["explanation"].push_back(explanation.to_json());
        }
    }
    return document;
}

std::string render(const Options& options, const std::vector<CheckResult>& results) {
    const CheckResult& first = results.front();
    switch (options.output) {
        case Output::prometheus:
            return prometheus_text(results);
        case Output::json:
        case Output::jsonl:
            return json_text(options.all ? to_json(results) : json_of(options, first),
                             options.output);
        case Output::text:
        case Output::sarif:  // refused with the options
            break;
    }
    const Terminal terminal =
        options.output_file.empty() ? Terminal::on(STDOUT_FILENO) : Terminal(false, false);
    if (!options.explain.empty()) {
        return explain_text(
            first.facts, first.findings, explanations(options, first.facts), terminal);
    }
    return options.all ? check_all_text(results, terminal)
                       : check_text(first.facts, first.findings, terminal);
}

/// What the journal here knows of a run that died over a cluster, where nothing on its members says
/// so already.
void add_abandoned(const Options& options, std::vector<CheckResult>& results) {
    const std::unique_ptr<JournalStore> journal = journal_if_any(options);
    for (CheckResult& result : results) {
        if (!journal || !result.observed()) {
            continue;
        }
        std::optional<AbandonedRun> run;
        try {
            run = abandoned_run(*journal, result.cluster);
        } catch (const JournalError&) {  // `show` tells what is wrong with it
        }
        const auto known = [&](const Finding& finding) {
            return finding.id == "member.leftover" && finding.subject == run->header.id;
        };
        if (run && std::ranges::none_of(result.findings, known)) {
            result.findings.push_back(as_finding(*run));
            sort_worst_first(result.findings);
        }
    }
}

}  // namespace

int command_check(const Options& options, Interrupts& interrupts) {
    const Inventory inventory = inventory_of(options);
    SystemClock clock;
    SampleHistory history(state_folder(options), clock);
    ClusterChecks::Settings settings;
    settings.member_timeout = options.member_timeout;
    settings.second_sample = !options.watch;
    ClusterChecks checks(wanted_clusters(options, inventory), history, clock, settings);
    if (options.watch) {
        return watch(options, checks, clock, interrupts);
    }
    std::vector<CheckResult> results = checks.look(interrupts.token());
    add_abandoned(options, results);
    // A file for a collector says that the cluster cannot be observed; a person is told in words.
    const bool for_program = options.all || options.output == Output::prometheus;
    if (!for_program && !results.front().observed()) {
        throw Error(results.front().error, results.front().hint);
    }
    const std::string text = render(options, results);
    if (options.output_file.empty()) {
        std::cout << text;
    } else {
        write_whole_file(options.output_file, text);
    }
    return static_cast<int>(worst(results));
}

}  // namespace lockstep
