#include "engine/expression/expression_limits.hpp"

#include <algorithm>

namespace lockstep {

Content inspect(const Value& value, Budget& budget, int depth) {
    if (depth > k_deepest_value) {
        throw BudgetExceeded{"the expression makes a value that is nested too deeply"};
    }
    Content content;
    content.tainted = value.tainted();
    const auto add = [&](const Value& inner) {
        const Content below = inspect(inner, budget, depth + 1);
        content.tainted = content.tainted || below.tainted;
        content.unknown = content.unknown == nullptr ? below.unknown : content.unknown;
    };
    budget.spend(1);
    switch (value.kind()) {
        case Value::Kind::string:
            budget.spend(value.as_string().size() / k_bytes_per_step);
            break;
        case Value::Kind::unknown:
            content.unknown = &value;
            break;
        case Value::Kind::list:
            for (const Value& item : value.as_list()) {
                add(item);
            }
            break;
        case Value::Kind::map:
            for (const auto& [key, item] : value.as_map()) {
                budget.spend(key.size() / k_bytes_per_step);
                add(item);
            }
            break;
        default:
            break;
    }
    return content;
}

bool nests_deeper_than(const Value& value, int levels) {
    const auto too_deep = [levels](const Value& inner) {
        return nests_deeper_than(inner, levels - 1);
    };
    if (value.kind() == Value::Kind::list) {
        return levels <= 0 || std::ranges::any_of(value.as_list(), too_deep);
    }
    if (value.kind() == Value::Kind::map) {
        return levels <= 0 || std::ranges::any_of(value.as_map(), [&](const auto& entry) {
                   return too_deep(entry.second);
               });
    }
    return false;
}

}  // namespace lockstep
