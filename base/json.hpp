#pragma once

#include <nlohmann/json.hpp>

#include <cstddef>
#include <limits>
#include <string>
#include <string_view>

/// JSON that somebody else wrote. nlohmann's documents are copied, compared, written and (in parts)
/// freed by functions that call themselves: one that nests deeply enough ends the process. So
/// nothing is parsed but here, and nothing that is deeper or larger than it has a reason to be ever
/// becomes a document. The test `layering` fails on another `json::parse`.
namespace lockstep {

struct JsonLimits {
    int depth = 64;                            ///< of arrays and objects in each other
    std::size_t bytes = std::size_t{8} << 20;  ///< of the whole text
    std::size_t values = 1'000'000;            ///< of all kinds, at any depth
    std::size_t text = std::size_t{8} << 20;   ///< bytes of one text or key
};

/// What Patroni says of a member and of a cluster: a few KiB a member.
inline constexpr JsonLimits k_status_json{
    .bytes = std::size_t{1} << 20, .values = 100'000, .text = std::size_t{64} << 10};

/// What lockstep wrote: as large as it was, and answers of others are in it some levels down.
inline constexpr JsonLimits k_own_json{.depth = 256,
                                       .bytes = std::numeric_limits<std::size_t>::max(),
                                       .values = std::numeric_limits<std::size_t>::max(),
                                       .text = std::numeric_limits<std::size_t>::max()};

/// A document, or why there is none.
struct ReadJson {
    nlohmann::json document = nlohmann::json(nlohmann::json::value_t::discarded);
    /// Behind a subject: `is no JSON`, `nests deeper than 64 levels`; empty: it was read.
    std::string trouble;

    [[nodiscard]] bool ok() const { return trouble.empty(); }
};

/// Reads one document, without calling itself. Of two members of one name the last counts.
[[nodiscard]] ReadJson read_json(std::string_view text, const JsonLimits& limits = {});

}  // namespace lockstep
