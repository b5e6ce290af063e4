#include "engine/runbook/language.hpp"
#include "engine/runbook/runbook_reading.hpp"

#include <string>
#include <vector>

// Who says yes, who is told.
namespace lockstep::runbook_reading {

namespace {

using yaml::Node;

constexpr IntegerRange k_approvers{1, 100};

std::vector<std::string> words_of(std::string_view place, std::string_view key) {
    const auto& words = language::place(place).key(key)->words;
    return {words.begin(), words.end()};
}

}  // namespace

ApprovalSpec read_approval(Reading& reading, const Node& node) {
    ApprovalSpec approval;
    approval.where = node.where;
    if (!check_keys(reading, node, "approval", "approval")) {
        return approval;
    }
    if (const Node* count = node.find("count")) {
        approval.count = read_integer(reading, *count, "count", k_approvers, approval.count);
    }
    if (const Node* from = node.find("from")) {
        approval.from = read_texts(reading, *from, "approver");
    }
    if (const Node* not_self = node.find("not_self")) {
        reading.problems.attempt([&] { approval.not_self = yaml::as_bool(*not_self, "not_self"); });
    }
    if (const Node* expires = node.find("expires")) {
        approval.expires = read_duration(reading, *expires, "expires");
    }
    if (const Node* on_expire = node.find("on_expire")) {
        approval.ask_again =
            read_one_of(
                reading, *on_expire, "answer to an expiry", words_of("approval", "on_expire")) ==
            "ask_again";
        if (!approval.expires) {
            reading.problems.add(on_expire->where,
                                 "on_expire has no effect: this approval does not expire",
                                 "Say when: expires: 2h.",
                                 "runbook.no_effect");
        }
    }
    if (const Node* message = node.find("message")) {
        reading.problems.attempt([&] { approval.message = yaml::as_string(*message, "message"); });
    }
    return approval;
}

std::vector<NotifySpec> read_notify(Reading& reading, const Node& node) {
    std::vector<NotifySpec> specs;
    if (!node.is(Node::Kind::list)) {
        reading.problems.add(node.where,
                             "notify must be a list, not " + node.describe(),
                             "notify: [{on: [failure, end], to: [ops]}]",
                             "runbook.type");
        return specs;
    }
    for (const Node& item : node.items) {
        NotifySpec spec;
        spec.where = item.where;
        if (!check_keys(reading, item, "notification", "an entry of notify")) {
            continue;
        }
        if (item.find("on") == nullptr) {
            reading.problems.add(item.where,
                                 "an entry of notify has no `on`",
                                 "notify: [{on: [failure, end], to: [ops]}]",
                                 "runbook.missing");
        }
        if (const Node* on = item.find("on")) {
            spec.on = read_texts(reading, *on, "event", words_of("notification", "on"));
        }
        if (const Node* to = item.find("to")) {
            spec.to = read_texts(reading, *to, "target");
        }
        specs.push_back(std::move(spec));
    }
    return specs;
}

void read_register(Reading& reading, const Node& node, Visible visible, StepSpec& step) {
    const Node* name = &node;
    if (node.is(Node::Kind::map)) {
        if (!check_keys(reading, node, "register", "register")) {
            return;
        }
        name = node.find("name");
        if (name == nullptr) {
            reading.problems.add(node.where,
                                 "register has no `name`",
                                 "register: {name: versions, as: lines}",
                                 "runbook.missing");
        }
        if (const Node* as = node.find("as")) {
            static const std::vector<std::pair<std::string, OutputSpec::As>> k_as{
                {"text", OutputSpec::As::text},
                {"lines", OutputSpec::As::lines},
                {"json", OutputSpec::As::json}};
            const auto word =
                read_one_of(reading, *as, "way to read it", words_of("register", "as"));
            for (const auto& [text, value] : k_as) {
                step.output.as = word == text ? value : step.output.as;
            }
        }
        if (const Node* select = node.find("select")) {
            visible.result = true;
            step.output.select = read_expression(reading, *select, "`select`", visible);
        }
    }
    if (name == nullptr) {
        return;
    }
    reading.problems.attempt([&] { step.register_as = yaml::as_string(*name, "register"); });
    if (name->is(Node::Kind::scalar) && !is_name(step.register_as, false)) {
        reading.problems.add(name->where,
                             "\"" + step.register_as + "\" is no name to register",
                             "Lower case letters, digits and _, a letter first.",
                             "runbook.bad_name");
    }
    reading.registered.push_back(step.register_as);  // only steps after it may read it
}

}  // namespace lockstep::runbook_reading
