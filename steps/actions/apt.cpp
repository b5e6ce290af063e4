#include "steps/actions/apt.hpp"

#include "base/shell_quote.hpp"

namespace lockstep::apt {

namespace {

// What apt must never do by itself here: ask, remove a package, replace a configuration file that a
// person edited, or (needrestart, on Ubuntu) restart other services. It waits for another apt.
// --no-remove and DPkg::Lock::Timeout: apt 1.9.11 and later.
constexpr const char* k_install =
    "DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -y -q --no-remove "
    "--no-install-recommends --allow-downgrades -o DPkg::Lock::Timeout=60 "
    "-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold install";

}  // namespace

std::string install(const std::vector<std::string>& wanted) {
    std::string command = k_install;
    for (const std::string& each : wanted) {
        command += " " + shell_quote(each);
    }
    return command;
}

// /var/lib/dpkg/updates holds numbered files while dpkg works and after it was interrupted
// (apt refuses to do anything then: "dpkg was interrupted, you must manually run").
std::string finish_interrupted() {
    return "if [ -n \"$(dpkg --audit 2>&1)\" ] || "
           "[ -n \"$(ls /var/lib/dpkg/updates 2>/dev/null)\" ]; then\n"
           "  DEBIAN_FRONTEND=noninteractive dpkg --force-confdef --force-confold --configure -a "
           ">&2 </dev/null\nfi\n";
}

std::string kept_folder(const std::string& package, const std::string& version) {
    return "/var/lib/lockstep/kept/" + package + "=" + version;
}

}  // namespace lockstep::apt
