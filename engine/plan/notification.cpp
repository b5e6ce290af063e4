#include "engine/plan/notification.hpp"

#include "base/suggest.hpp"

#include <algorithm>

namespace lockstep {

std::optional<Finding> refuse_target(const std::string& target, const Cluster& cluster) {
    const std::vector<std::string>& known = cluster.notify_targets;
    if (std::ranges::find(known, target) != known.end()) {
        return std::nullopt;
    }
    const std::string hint = did_you_mean(target, known);
    return Finding{.id = "notify.unknown_target",
                   .severity = Severity::critical,
                   .member = {},
                   .subject = target,
                   .message = "the inventory has no notification target \"" + target + "\"",
                   .remedy = hint.empty() ? "Add it to `notify:` of the inventory." : hint,
                   .source = {}};
}

}  // namespace lockstep
