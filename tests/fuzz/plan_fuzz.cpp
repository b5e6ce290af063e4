#include "base/canonical_json.hpp"
#include "base/error.hpp"
#include "engine/plan/plan.hpp"
#include "engine/plan/saved_plan.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

// The input as a saved plan: refused with an InputError, or a plan whose parts can be compared.
// A hash in the file would keep out everything that a fuzzer makes, so it is put right first.
namespace {

using namespace lockstep;

std::string with_hash(const std::string& text) {
    nlohmann::json document = nlohmann::json::parse(text, nullptr, false);
    if (!document.is_object() || !document.contains("lockstep_plan")) {
        return text;
    }
    document.erase("hash");
    document["hash"] = sha256_hex(canonical(document));
    return canonical(document);
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string text(reinterpret_cast<const char*>(data), size);
    try {
        const SavedPlan plan = SavedPlan::parse(with_hash(text), "f");
        if (!differences(plan.plan, plan.plan).empty()) {
            std::abort();
        }
    } catch (const InputError& error) {
        if (error.where().file != "f") {
            std::abort();
        }
    }
    return 0;
}
