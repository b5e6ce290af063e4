#include "engine/window/spans.hpp"

#include <algorithm>

namespace lockstep {

std::vector<Span> merged(std::vector<Span> spans) {
    std::sort(
        spans.begin(), spans.end(), [](const Span& a, const Span& b) { return a.from < b.from; });
    std::vector<Span> result;
    for (const Span& span : spans) {
        if (span.from >= span.to) {
            continue;
        }
        if (!result.empty() && span.from <= result.back().to) {
            result.back().to = std::max(result.back().to, span.to);
        } else {
            result.push_back(span);
        }
    }
    return result;
}

std::vector<Span> without(const std::vector<Span>& spans, const std::vector<Span>& cuts) {
    std::vector<Span> result;
    auto cut = cuts.begin();
    for (Span rest : spans) {
        while (cut != cuts.end() && cut->to <= rest.from) {
            ++cut;
        }
        for (auto here = cut; here != cuts.end() && here->from < rest.to; ++here) {
            if (here->from > rest.from) {
                result.push_back({rest.from, here->from});
            }
            rest.from = std::min(here->to, rest.to);
        }
        if (rest.from < rest.to) {
            result.push_back(rest);
        }
    }
    return result;
}

}  // namespace lockstep
