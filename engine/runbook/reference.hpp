#pragma once

#include "engine/runbook/runbook.hpp"

#include <string>
#include <string_view>
#include <vector>

/// The reference of everything that a runbook or inventory may hold, made of the rows that the
/// loaders know it by.
namespace lockstep {

/// One thing that can be looked up: `step.retry`, `ssh.run`, `ssh.run.argv`, `undo.missing`.
struct ReferenceEntry {
    std::string key;
    std::string kind;   ///< "key", "map", "action", "parameter", "guard", "rule"
    std::string takes;  ///< what its value may be; empty: it has none
    std::string otherwise;
    std::string description;
    std::string example;
    bool required = false;
    std::vector<std::string> inside;  ///< the keys of the entries in it
    /// Of an action: what it gives, and what else there is to know, a line each.
    std::vector<std::string> notes;
};

/// In the order of the tables: what a thing holds directly follows it.
[[nodiscard]] std::vector<ReferenceEntry> reference(const RunbookVocabulary& vocabulary);

/// Throws UsageError with a did-you-mean.
[[nodiscard]] ReferenceEntry look_up(const std::vector<ReferenceEntry>& entries,
                                     const std::string& key);

/// docs/reference.md.
[[nodiscard]] std::string reference_markdown(const std::vector<ReferenceEntry>& entries);

}  // namespace lockstep
