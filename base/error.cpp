#include "base/error.hpp"

#include <string_view>

namespace lockstep {

std::string SourceLocation::text() const {
    if (line == 0) {
        return file;
    }
    return file + ":" + std::to_string(line) + ":" + std::to_string(column);
}

InputError InputError::of(const std::string& family) const {
    constexpr std::string_view k_common = "input.";
    InputError result = *this;
    if (rule_.starts_with(k_common)) {
        result.rule_ = family + "." + rule_.substr(k_common.size());
    }
    return result;
}

std::string InputError::message() const {
    const std::string place = without_secrets(where_.text() + ": ");
    return std::string(what()).starts_with(place) ? std::string(what()).substr(place.size())
                                                  : what();
}

InputError InputError::in(std::shared_ptr<const std::string> source) const {
    InputError result = *this;
    result.source_ = std::move(source);
    return result;
}

}  // namespace lockstep
