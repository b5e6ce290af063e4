#include "cli/identity.hpp"

#include "base/account.hpp"
#include "engine/run/approval.hpp"
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
    return (found == nullptr ? std::to_string(::getuid()) : std::string(found->pw_name)) +
           std::string(in_user_namespace() ? k_in_user_namespace : "") + "@" + own_host();
}

EngineId own_engine() {
    return {own_engine_process(), own_host(), static_cast<int>(::getpid())};
}

}  // namespace lockstep
