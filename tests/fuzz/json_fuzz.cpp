#include "base/canonical_json.hpp"
#include "base/error.hpp"
#include "base/json.hpp"
#include "cluster/facts.hpp"
#include "engine/expression/value.hpp"
#include "steps/observation/member_query.hpp"
#include "steps/observation/patroni_api.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

// The input as what a stranger answers: to /cluster, /config, /patroni, the observation's query. It
// is refused in words, or a document that can be copied, compared, written, read again, and taken
// for a value of an expression; and what is read of it are facts that can be recorded.
namespace {

using namespace lockstep;

void require(bool holds) {
    if (!holds) {
        std::abort();
    }
}

void read_as_answers(const nlohmann::json& document) {
    ClusterFacts facts;
    patroni_api::read_cluster(document, facts);
    patroni_api::read_config(document, facts);
    for (MemberFacts& member : facts.members) {
        patroni_api::read_status(document, member);
    }
    const std::vector<nlohmann::json> statuses(facts.members.size(), document);
    patroni_api::combine(facts, statuses);
    require(!canonical(facts.to_json()).empty());
    require(read_json(canonical(facts.to_json()), k_own_json).ok());
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string text(reinterpret_cast<const char*>(data), size);
    const ReadJson read = read_json(text);
    require(read.ok() != read.document.is_discarded());
    if (!read.ok()) {
        return 0;
    }
    const nlohmann::json copy = read.document;
    require(copy == read.document);
    const ReadJson again = read_json(canonical(copy));
    require(again.ok() && canonical(again.document) == canonical(copy));
    (void)Value::from_json(copy);
    if (copy.is_object()) {
        read_as_answers(copy);
    }
    try {
        MemberFacts member;
        read_observation(text, member);
        (void)member.to_json();
    } catch (const Error& error) {
        require(*error.what() != '\0');
    }
    return 0;
}
