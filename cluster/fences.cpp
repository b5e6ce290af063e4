#include "cluster/fences.hpp"

#include <algorithm>
#include <functional>

namespace lockstep {

Fences judge_fences(const std::vector<std::optional<std::int64_t>>& fences) {
    std::vector<std::int64_t> known;
    for (const std::optional<std::int64_t>& fence : fences) {
        if (fence) {
            known.push_back(*fence);
        }
    }
    Fences judged;
    if (known.empty()) {
        return judged;
    }
    std::ranges::sort(known, std::greater<>());
    const std::size_t away = fences.size() - known.size();
    const std::size_t majority = fences.size() / 2 + 1;
    const std::size_t needed = majority > away ? majority - away : 1;
    std::int64_t agreed = known[needed - 1];
    if (needed == 1 && known.size() > 1 && known[0] - known[1] > k_fence_reach) {
        judged.undecided = true;
        agreed = known[1];
    }
    for (std::size_t n = 0; n < fences.size(); ++n) {
        if (!fences[n]) {
            continue;
        }
        if (*fences[n] - agreed > k_fence_reach) {
            judged.odd.push_back(n);
        } else {
            judged.greatest = std::max(judged.greatest, *fences[n]);
        }
    }
    return judged;
}

}  // namespace lockstep
