#include "engine/run/open_call.hpp"

#include <algorithm>

namespace lockstep {

/// What has a key on a member is asked there; a guess by the clock is for what nobody can ask.
std::optional<Clock::Wall> OpenCall::quiet_at(Clock::Wall now) const {
    if (end == OpenEnd::still_running || !acts_within) {
        return std::nullopt;
    }
    const Clock::Wall given_up = unwatched_since.empty() ? now : from_iso8601(unwatched_since);
    // Whoever gave up early, by a timeout of the step, has not made the other side any quicker.
    return std::max(from_iso8601(sent_at) + answers_within, given_up) + *acts_within;
}

const OpenCall* in_the_way(const std::vector<OpenCall>& open,
                           const std::string& member,
                           Clock::Wall now) {
    const auto found = std::ranges::find_if(open, [&](const OpenCall& call) {
        const bool touches = call.member.empty() || member.empty() || call.member == member;
        const auto quiet = call.quiet_at(now);
        return touches && !call.unwatched_since.empty() && (!quiet || now < *quiet);
    });
    return found == open.end() ? nullptr : &*found;
}

std::string describe(const OpenCall& call) {
    const bool back = call.purpose == OpenCall::Purpose::undo;
    const std::string what = (back ? "the undo of " : "") + call.where();
    return call.end == OpenEnd::still_running ? what + " still runs there"
                                              : "it is not known what " + what + " still does";
}

}  // namespace lockstep
