#pragma once

#include "steps/packages/package_tool.hpp"

#include <string>
#include <vector>

/// What `package.install` is to install, and why it must not be tried, by the findings of its
/// probe.
namespace lockstep {

/// The path of the package on the member, where the call names one; else empty. Throws Error for
/// what is no path of one file.
[[nodiscard]] std::string package_file(const StepCall& call);

/// What the tool is told to install: `patroni=4.0.7-1`, or the file.
[[nodiscard]] std::string package_item(const StepCall& call, const std::string& version);

/// The one version that it would be, or what was asked for where that is not clear.
[[nodiscard]] std::string chosen_version(const StepCall& call);

/// Why the probe says that this install must not be tried.
[[nodiscard]] std::vector<Finding> obstacles(const StepCall& call, const PackageTool& tool);

/// A Patroni that runs, and that no package brought: by pip, or in a container with a file system
/// of its own. A package would be a second one beside it.
[[nodiscard]] std::vector<Finding> refuse_unpackaged(const MemberFacts& member,
                                                     const StepCall& call);

/// The file systems that are too small for what is to be unpacked, each as `MOUNT TEXT`, by the
/// lines of `df -PB1 /usr /var` and by `sizes` of the tool. Nothing where either is not known.
[[nodiscard]] std::vector<std::string> no_room(const std::vector<std::string>& df,
                                               const std::string& sizes);

/// That the chosen version will not last, by apt's preferences; empty: nothing says so.
[[nodiscard]] std::string preference_note(const StepCall& call);

}  // namespace lockstep
