#pragma once

#include <string>
#include <vector>

/// How apt and dpkg are called on members: by package.install, package.keep and package.restore.
namespace lockstep::apt {

/// `apt-get install` of exactly these: `patroni=4.0.7-1`, or paths of packages. It asks nothing,
/// removes nothing, keeps configuration files that a person edited, and waits for another apt.
[[nodiscard]] std::string install(const std::vector<std::string>& wanted);

/// Shell text that lets dpkg finish what an interrupted call has left, where there is something.
[[nodiscard]] std::string finish_interrupted();

/// The member's folder of the packages that are kept for a way back: those of one version.
[[nodiscard]] std::string kept_folder(const std::string& package, const std::string& version);

}  // namespace lockstep::apt
