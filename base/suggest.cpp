#include "base/suggest.hpp"

#include <algorithm>
#include <optional>

namespace lockstep {

namespace {

constexpr std::size_t k_longest_compared = 64;  // the distance costs the product of the lengths
constexpr std::size_t k_most_compared = 1000;
constexpr std::size_t k_most_listed = 8;

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// Optimal string alignment: insertions, deletions, replacements and swaps of neighbours.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before_last(b.size() + 1);
    std::vector<std::size_t> last(b.size() + 1);
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) {
        row[j] = j;
    }
    for (std::size_t i = 1; i <= a.size(); ++i) {
        before_last.swap(last);
        last.swap(row);
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const bool same = lower(a[i - 1]) == lower(b[j - 1]);
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0U : 1U)});
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
                lower(a[i - 2]) == lower(b[j - 1])) {
                row[j] = std::min(row[j], before_last[j - 2] + 1);
            }
        }
    }
    return row[b.size()];
}

// A third of the letters may be wrong; with more, a suggestion misleads.
std::size_t tolerance(std::string_view given) {
    return std::clamp<std::size_t>(given.size() / 3, 1, 3);
}

std::optional<std::string> nearest(std::string_view given, const std::vector<std::string>& names) {
    std::optional<std::string> best;
    std::size_t best_distance = tolerance(given) + 1;
    for (std::size_t i = 0; i < std::min(names.size(), k_most_compared); ++i) {
        const std::string& name = names[i];
        const std::size_t apart = std::max(name.size(), given.size()) -
                                  std::min(name.size(), given.size());  // at least so many wrong
        if (name.empty() || name.size() > k_longest_compared || apart >= best_distance) {
            continue;
        }
        const std::size_t wrong = distance(given, name);
        // Every letter replaced is not a near miss, however short the name.
        if (wrong < best_distance && wrong < name.size()) {
            best = name;
            best_distance = wrong;
        }
    }
    return best;
}

}  // namespace

std::string did_you_mean(std::string_view given, const std::vector<std::string>& names) {
    if (names.empty()) {
        return {};
    }
    if (!given.empty() && given.size() <= k_longest_compared) {
        if (const auto near = nearest(given, names)) {
            return "did you mean \"" + *near + "\"?";
        }
    }
    const std::size_t listed = std::min(names.size(), k_most_listed);
    std::string list = "there is: ";
    for (std::size_t n = 0; n < listed; ++n) {
        list += (n == 0 ? "" : ", ") + names[n];
    }
    if (names.size() > listed) {
        list += " and " + std::to_string(names.size() - listed) + " more";
    }
    return list;
}

}  // namespace lockstep
