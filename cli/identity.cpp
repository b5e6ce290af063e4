#include "cli/identity.hpp"

#include "steps/lock/engine_process.hpp"

#include <pwd.h>
#include <unistd.h>

#include <array>

namespace lockstep {

std::string operator_identity() {
    passwd entry{};
    passwd* found = nullptr;
    std::array<char, 4096> buffer{};
    ::getpwuid_r(::getuid(), &entry, buffer.data(), buffer.size(), &found);
    std::array<char, 256> host{};
    ::gethostname(host.data(), host.size() - 1);
    return (found == nullptr ? std::to_string(::getuid()) : std::string(found->pw_name)) + "@" +
           host.data();
}

EngineId own_engine() {
    std::array<char, 256> host{};
    ::gethostname(host.data(), host.size() - 1);
    return {own_engine_process(), host.data(), static_cast<int>(::getpid())};
}

}  // namespace lockstep
