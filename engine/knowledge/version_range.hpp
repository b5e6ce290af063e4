#pragma once

#include "base/package_version.hpp"
#include "base/yaml.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

/// Which versions something is true of: `any`, `4.0.3`, `4.0.0 - 4.0.2` (both included), `< 4.0.0`,
/// `>= 3.2.0`, `14.x`, or a list of these, of which one is enough.
class VersionRange {
  public:
    /// Throws InputError at the node's place.
    [[nodiscard]] static VersionRange read(const yaml::Node& node, std::string_view what);
    /// One range, as in a file; `where` is for messages.
    [[nodiscard]] static VersionRange parse(std::string_view text, const SourceLocation& where);

    /// Upstream versions count: `4.0.7-3` is 4.0.7. False for what is no version.
    [[nodiscard]] bool contains(std::string_view version) const;

    [[nodiscard]] const std::string& text() const { return text_; }  ///< `< 3.3.5, 4.0.0 - 4.0.3`

  private:
    struct Span {
        std::optional<PackageVersion> from;
        bool from_included = true;
        std::optional<PackageVersion> to;
        bool to_included = true;
    };

    [[nodiscard]] static Span parse_span(std::string_view text, const SourceLocation& where);

    std::vector<Span> spans_;
    std::string text_;
};

}  // namespace lockstep
