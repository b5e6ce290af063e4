#pragma once

#include <compare>
#include <string>
#include <string_view>

namespace lockstep {

/// A version as packages write it: `[epoch:]upstream[-revision]`. Ordered as dpkg does (Debian
/// policy 5.6.12): `~` sorts before the end, digits as numbers. Plain upstream versions such as
/// `4.0.7`, and RPM's `4.0.7-1PGDG.rhel9`, are the same thing with parts missing.
class PackageVersion {
  public:
    /// Throws Error when it is not a version: empty, spaces, no digit first.
    explicit PackageVersion(std::string_view text);

    [[nodiscard]] const std::string& text() const { return text_; }

    [[nodiscard]] const std::string& upstream() const { return upstream_; }

    [[nodiscard]] const std::string& revision() const { return revision_; }  ///< may be empty

    [[nodiscard]] int epoch() const { return epoch_; }

    /// The n-th number of the upstream part: part(0) of `4.0.7` is 4; 0 where there is none.
    [[nodiscard]] int part(int n) const;

    friend std::strong_ordering operator<=>(const PackageVersion& a, const PackageVersion& b);
    friend bool operator==(const PackageVersion& a, const PackageVersion& b);

  private:
    std::string text_;
    std::string upstream_;
    std::string revision_;
    int epoch_ = 0;
};

/// The order that rpm has, which is another one (rpmio/rpmvercmp.c of 4.20): what is neither letter
/// nor digit only parts, letters are older than numbers, `^` is newer than the end and older than a
/// further part. A release counts where both have one. For upstream versions such as `4.0.7` and
/// `5.0.0~beta1` the two orders are one.
[[nodiscard]] std::strong_ordering compare_as_rpm(const PackageVersion& a, const PackageVersion& b);

}  // namespace lockstep
