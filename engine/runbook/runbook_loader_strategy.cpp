#include "engine/runbook/runbook_reading.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace lockstep::runbook_reading {

namespace {

using yaml::Node;

constexpr int k_most_attempts = 100;
constexpr double k_most_backoff = 100;
constexpr std::chrono::hours k_longest_delay{24};

double read_backoff(Reading& reading, const Node& node) {
    char* end = nullptr;
    const double factor = std::strtod(node.text.c_str(), &end);
    const bool number = node.is(Node::Kind::scalar) && node.plain && !node.text.empty() &&
                        node.text.find_first_not_of("0123456789.") == std::string::npos &&
                        *end == '\0';
    if (!number || factor < 1 || factor > k_most_backoff) {
        reading.problems.add(node.where,
                             "backoff must be a number from 1 to 100, not " + node.describe(),
                             "Each delay is the one before times this.");
        return 1;
    }
    return factor;
}

std::optional<Strategy::Batch> read_batch(Reading& reading, const Node& node) {
    auto batch = parse_batch(node.is(Node::Kind::scalar) ? node.text : "");
    if (!batch) {
        reading.problems.add(node.where,
                             "a batch cannot be " + node.describe(),
                             "Write a number of members, a part such as 50%, or all; or an "
                             "expression such as inputs.batch.");
    }
    return batch;
}

/// Something like `inputs.batch`: no other batch has a name and a dot.
bool is_expression(const Node& node) {
    return node.is(Node::Kind::scalar) && !node.text.empty() && node.text.front() >= 'a' &&
           node.text.front() <= 'z' && node.text.find('.') != std::string::npos;
}

std::vector<Strategy::Batch> read_batches(Reading& reading, const Node& node) {
    std::vector<Strategy::Batch> batches;
    const std::vector<Node> single{node};
    for (const Node& item : node.is(Node::Kind::list) ? node.items : single) {
        if (const auto batch = read_batch(reading, item)) {
            batches.push_back(*batch);
        }
    }
    if (node.is(Node::Kind::list) && node.items.empty()) {
        reading.problems.add(node.where, "batch names no batch", "batch: [1, 50%]");
    }
    return batches.empty() ? Strategy{}.batch : batches;
}

/// A word, or an expression over `member`.
void read_order(Reading& reading, const Node& node, Strategy& strategy) {
    const bool word =
        node.is(Node::Kind::scalar) &&
        node.text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string::npos;
    if (word || !node.is(Node::Kind::scalar)) {
        strategy.order =
            read_one_of(reading, node, "order", {"name", "lag_asc", "lag_desc", "leader_last"})
                .value_or(strategy.order);
        return;
    }
    strategy.order_by = read_expression(reading, node, "`order`", {.member = true});
}

}  // namespace

Retry read_retry(Reading& reading, const Node& node, Retry retry) {
    if (!check_keys(reading, node, "retry", "retry")) {
        return retry;
    }
    if (const Node* attempts = node.find("attempts")) {
        retry.attempts =
            read_integer(reading, *attempts, "attempts", {1, k_most_attempts}, retry.attempts);
    }
    if (const Node* delay = node.find("delay")) {
        retry.delay = read_duration(reading, *delay, "delay", true).value_or(retry.delay);
    }
    if (const Node* backoff = node.find("backoff")) {
        retry.backoff = read_backoff(reading, *backoff);
    }
    const double last = static_cast<double>(retry.delay.count()) *
                        std::pow(retry.backoff, std::max(retry.attempts - 2, 0));
    if (last > static_cast<double>(std::chrono::milliseconds(k_longest_delay).count())) {
        reading.problems.add(node.where,
                             "the last delay of this retry would be longer than a day",
                             "Give it fewer attempts, or a smaller backoff.");
    }
    return retry;
}

Strategy read_strategy(Reading& reading, const Node& node) {
    Strategy strategy;
    if (!check_keys(reading, node, "strategy", "strategy")) {
        return strategy;
    }
    if (const Node* batch = node.find("batch")) {
        if (is_expression(*batch)) {
            strategy.batch_by = read_expression(reading, *batch, "`batch`", {});
        } else {
            strategy.batch = read_batches(reading, *batch);
        }
    }
    if (const Node* order = node.find("order")) {
        read_order(reading, *order, strategy);
    }
    constexpr IntegerRange k_counts{0, 100'000};
    if (const Node* most = node.find("max_failed")) {
        strategy.max_failed = read_integer(reading, *most, "max_failed", k_counts, 0);
    }
    if (const Node* most = node.find("max_unreachable")) {
        strategy.max_unreachable = read_integer(reading, *most, "max_unreachable", k_counts, 0);
    }
    return strategy;
}

}  // namespace lockstep::runbook_reading

namespace lockstep {

std::optional<Strategy::Batch> parse_batch(const std::string& text) {
    if (text == "all") {
        return Strategy::Batch{1, false, true};
    }
    const bool percent = text.ends_with('%');
    const std::string digits = percent ? text.substr(0, text.size() - 1) : text;
    const bool number = !digits.empty() && digits.size() <= 4 && digits.front() != '0' &&
                        digits.find_first_not_of("0123456789") == std::string::npos;
    const int count = number ? std::stoi(digits) : 0;
    if (!number || (percent && count > 100)) {
        return std::nullopt;
    }
    return Strategy::Batch{count, percent, false};
}

}  // namespace lockstep
