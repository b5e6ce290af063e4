#include "engine/run/approval.hpp"

#include "base/canonical_json.hpp"
#include "base/error.hpp"
#include "engine/plan/plan.hpp"

#include <algorithm>

namespace lockstep {

namespace {

/// `anna`, `anna@jump1`, or a group of such.
bool is_meant(const std::string& entry, const std::string& by, const People& people) {
    const bool is_group = people.inventory != nullptr && people.inventory->groups.contains(entry);
    return is_group ? people.inventory->is_in_group(by, entry) : is_meant_by(entry, by);
}

int yes_count(const ApprovalProgress& asked) {
    return static_cast<int>(std::ranges::count_if(asked.answers, [](const GivenAnswer& answer) {
        return answer.yes && answer.why_not.empty();
    }));
}

std::string joined(const std::vector<std::string>& names) {
    std::string text;
    for (std::size_t i = 0; i < names.size(); ++i) {
        text += i == 0 ? "" : i + 1 == names.size() ? " or " : ", ";
        text += names[i];
    }
    return text;
}

/// A user namespace shows whom its maker likes.
bool is_unknown_user(std::string_view who) {
    return user_of(who).ends_with(k_in_user_namespace);
}

/// As whom somebody is known who has proven it.
std::string proven_name(const std::string& who) {
    std::string name(user_of(who));
    const std::string host = who.substr(name.size());
    if (is_unknown_user(who)) {
        name.resize(name.size() - k_in_user_namespace.size());
    }
    return name + host;
}

/// A key that cannot be had refuses the answer: else taking the key file away would turn the proof
/// off.
std::string doubt_of(const RunHeader& run, const Answer& answer, const People& people) {
    const std::string name(user_of(proven_name(answer.by)));
    try {
        const std::optional<std::string> key =
            people.key_of ? people.key_of(name) : std::optional<std::string>();
        if (!people.key_of && !answer.proof.empty()) {
            return {};  // whoever approves has their own key alone: the engine looks at it
        }
        if (!key) {
            return is_unknown_user(answer.by)
                       ? "nobody knows whose it is: it was given in a user namespace, without a key"
                       : "";
        }
        if (answer.proof.empty()) {
            return "the inventory asks for a proof from " + name + ", and there is none";
        }
        return is_same_secret(answer.proof, proof_of(run, answer, *key))
                   ? ""
                   : "its proof was not made with the key of " + name + " for this answer";
    } catch (const Error& error) {
        return "the key of " + name + " cannot be had: " + error.what();
    }
}

}  // namespace

/// Everything that the answer says is signed, with all that the run is about: texts, inputs, every
/// step of the plan. A yes can neither be copied to another run nor stay behind when this one is
/// changed.
std::string proof_of(const RunHeader& run, const Answer& answer, std::string_view key) {
    const std::string text =
        canonical(nlohmann::json{run.digest.empty() ? header_digest(run) : run.digest,
                                 answer.gate,
                                 answer.yes,
                                 answer.by,
                                 answer.at,
                                 answer.comment,
                                 answer.plan_hash});
    return to_hex(hmac_sha256(key, text));
}

/// Plan and time come first: the person is looked at only for an answer to what was really asked.
std::string why_not_counted(const RunHeader& run,
                            const ApprovalProgress& asked,
                            const Answer& answer,
                            const People& people) {
    if (answer.plan_hash != run.plan_hash) {
        return "it is about another plan";
    }
    if (answer.at < asked.asked_at) {
        return "it was given before it was asked for";
    }
    if (std::string doubt = doubt_of(run, answer, people); !doubt.empty()) {
        return doubt;
    }
    if (answer.yes && asked.not_self && is_unknown_user(run.started_by)) {
        return "who started this run is not known (it was in a user namespace), and somebody else "
               "has to approve it";
    }
    const std::string who = proven_name(answer.by);
    const std::string name(user_of(who));
    const bool may =
        asked.from.empty() || std::ranges::any_of(asked.from, [&](const std::string& entry) {
            return is_meant(entry, who, people);
        });
    if (!may) {
        return answer.by + " is not among those who are asked: " + joined(asked.from);
    }
    // A no counts from anybody who is asked, also from who started the run: stopping needs no
    // second person.
    if (answer.yes && asked.not_self && name == user_of(run.started_by)) {
        return name + " started this run, and somebody else has to approve it";
    }
    const bool again = std::ranges::any_of(asked.answers, [&](const GivenAnswer& other) {
        return other.why_not.empty() && other.yes && user_of(proven_name(other.by)) == name;
    });
    return answer.yes && again ? name + " has approved it already" : "";
}

/// One no outweighs every yes that came before it.
std::optional<ApprovalProgress::State> decided_by_answers(const ApprovalProgress& asked) {
    const bool refused = std::ranges::any_of(asked.answers, [](const GivenAnswer& answer) {
        return !answer.yes && answer.why_not.empty();
    });
    if (refused) {
        return ApprovalProgress::State::rejected;
    }
    return yes_count(asked) >= asked.count ? std::optional(ApprovalProgress::State::granted)
                                           : std::nullopt;
}

std::string approvals_text(int count, const std::vector<std::string>& from) {
    return (count == 1 ? "an approval" : std::to_string(count) + " approvals") +
           (from.empty() ? "" : " of " + joined(from));
}

std::string waits_for(const ApprovalProgress& asked) {
    if (asked.by_hand) {
        return "what it asks to be done by hand";
    }
    const int given = yes_count(asked);
    return approvals_text(asked.count - given, asked.from) + (given == 0 ? "" : " more") +
           (asked.expires_at.empty() ? "" : ", before " + asked.expires_at);
}

}  // namespace lockstep
