#pragma once

#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lockstep {

/// `name=value` lines, as our scripts print them; anything else in between is passed over.
class ReportLines {
  public:
    explicit ReportLines(const std::string& text) {
        std::istringstream stream(text);
        for (std::string line; std::getline(stream, line);) {
            const std::size_t equals = line.find('=');
            if (equals != std::string::npos) {
                lines_.emplace_back(line.substr(0, equals), line.substr(equals + 1));
            }
        }
    }

    [[nodiscard]] std::vector<std::string> all(std::string_view name) const {
        std::vector<std::string> values;
        for (const auto& [key, value] : lines_) {
            if (key == name) {
                values.push_back(value);
            }
        }
        return values;
    }

    /// Empty where there is none.
    [[nodiscard]] std::string last(std::string_view name) const {
        const std::vector<std::string> values = all(name);
        return values.empty() ? "" : values.back();
    }

    /// 0 where there is none, or no number.
    [[nodiscard]] std::int64_t number(std::string_view name) const {
        std::int64_t value = 0;
        std::istringstream(last(name)) >> value;
        return value;
    }

  private:
    std::vector<std::pair<std::string, std::string>> lines_;
};

}  // namespace lockstep
