#include "cli/runbooks.hpp"

#include "base/suggest.hpp"
#include "base/yaml.hpp"
#include "cli/shipped_runbooks.hpp"
#include "steps/catalog.hpp"

#include <filesystem>

namespace lockstep {

namespace {

bool is_path(const std::string& wanted) {
    return wanted.find('/') != std::string::npos || wanted.ends_with(".yaml") ||
           wanted.ends_with(".yml");
}

/// The file that a runbook is from: of a shipped one a name that no path is.
std::string file_of(const std::string& wanted, const std::string& from) {
    if (!is_path(wanted)) {
        return "shipped:" + wanted;
    }
    return (std::filesystem::path(from).parent_path() / wanted).lexically_normal().string();
}

constexpr const char* k_runbook_allowed_by = "--allow-shared-runbook";

std::optional<FoundBy> only_ours(SharedRunbook shared) {
    return shared == SharedRunbook::allowed ? std::nullopt : std::optional(FoundBy::name);
}

std::string text_of(const std::string& wanted, const std::string& file, SharedRunbook shared) {
    if (is_path(wanted)) {
        return text_to_run(file, shared);
    }
    std::vector<std::string> names;
    for (const ShippedRunbook& shipped : shipped_runbooks()) {
        if (shipped.name == wanted) {
            return std::string(shipped.text);
        }
        names.emplace_back(shipped.name);
    }
    throw UsageError("there is no shipped runbook \"" + wanted + "\"",
                     did_you_mean(wanted, names) + " A runbook of your own is given as a path: ./" +
                         wanted + ".yaml");
}

}  // namespace

std::string text_to_run(const std::string& path, SharedRunbook shared) {
    return yaml::read_text(path, only_ours(shared), k_runbook_allowed_by);
}

std::shared_ptr<const Runbook> find_runbook(const std::string& wanted, SharedRunbook shared) {
    RunbookVocabulary vocabulary = runbook_vocabulary();
    vocabulary.find_text = [shared](const std::string& name, const std::string& from) {
        const std::string file = file_of(name, from);
        return RunbookText{file, text_of(name, file, shared)};
    };
    if (is_path(wanted)) {
        return std::make_shared<const Runbook>(
            load_runbook(wanted, vocabulary, only_ours(shared), k_runbook_allowed_by));
    }
    const std::string file = file_of(wanted, {});
    return std::make_shared<const Runbook>(
        parse_runbook(text_of(wanted, file, shared), file, vocabulary));
}

std::string from_anywhere(const std::string& wanted) {
    return is_path(wanted) ? std::filesystem::absolute(wanted).lexically_normal().string() : wanted;
}

std::shared_ptr<const Runbook> pinned_runbook(const std::string& text,
                                              const std::string& path,
                                              const std::map<std::string, std::string>& parts) {
    RunbookVocabulary vocabulary = runbook_vocabulary();
    vocabulary.find_text = [&parts](const std::string& name, const std::string& from) {
        const std::string file = file_of(name, from);
        const auto found = parts.find(file);
        if (found == parts.end()) {
            throw Error("runbook " + name + " is not on record");
        }
        return RunbookText{file, found->second};
    };
    return std::make_shared<const Runbook>(parse_runbook(text, path, vocabulary));
}

}  // namespace lockstep
