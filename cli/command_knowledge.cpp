#include "base/error.hpp"
#include "cli/commands.hpp"
#include "cli/texts.hpp"
#include "engine/knowledge/knowledge.hpp"

#include <unistd.h>

#include <algorithm>
#include <iostream>

namespace lockstep {

namespace {

struct Versions {
    std::string from;
    std::string to;
};

/// `3.0.2..4.0.7`
Versions parse_versions(const std::string& text) {
    const std::size_t dots = text.find("..");
    try {
        if (dots == std::string::npos) {
            throw Error("");
        }
        return {PackageVersion(text.substr(0, dots)).upstream(),
                PackageVersion(text.substr(dots + 2)).upstream()};
    } catch (const Error&) {
        throw UsageError("--for " + text + ": that is not two versions",
                         "Give them as --for 3.0.2..4.0.7.");
    }
}

}  // namespace

int command_knowledge(const Options& options) {
    std::vector<const KnowledgeRow*> rows;
    std::optional<Versions> versions;
    if (!options.versions.empty()) {
        versions = parse_versions(options.versions);
    }
    for (const KnowledgeRow& row : shipped_knowledge()) {
        if (!versions || row.matters(versions->from, versions->to)) {
            rows.push_back(&row);
        }
    }
    std::ranges::stable_sort(
        rows, std::ranges::greater{}, [](const KnowledgeRow* row) { return row->severity; });
    if (options.output == Output::text) {
        std::cout << knowledge_text(rows, Terminal::on(STDOUT_FILENO));
        if (rows.empty()) {
            std::cout << "nothing is known that matters from " << versions->from << " to "
                      << versions->to << "\n";
        }
        return 0;
    }
    nlohmann::json document = nlohmann::json::array();
    for (const KnowledgeRow* row : rows) {
        document.push_back(row->to_json());
    }
    std::cout << json_text(document, options.output);
    return 0;
}

}  // namespace lockstep
