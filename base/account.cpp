#include "base/account.hpp"

#include <pwd.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>

namespace lockstep {

Account own_account() {
    Account account;
    passwd entry{};
    passwd* found = nullptr;
    std::array<char, std::size_t{16} * 1024> buffer{};
    if (::getpwuid_r(::geteuid(), &entry, buffer.data(), buffer.size(), &found) == 0 &&
        found != nullptr) {
        account = {found->pw_name, found->pw_dir};
    }
    if (const char* home = std::getenv("HOME");  // NOLINT(concurrency-mt-unsafe)
        home != nullptr && *home != '\0') {
        account.home = home;
    }
    return account;
}

bool is_first_uid_map(std::string_view text) {
    std::istringstream words{std::string(text)};
    std::int64_t inside = -1;
    std::int64_t outside = -1;
    std::int64_t count = 0;
    std::string more;
    return words >> inside >> outside >> count && inside == 0 && outside == 0 &&
           count == std::numeric_limits<std::uint32_t>::max() && !(words >> more);
}

/// A kernel without user namespaces has no such file.
bool in_user_namespace() {
    std::ifstream file("/proc/self/uid_map");
    if (!file) {
        return ::access("/proc/self/status", F_OK) != 0;
    }
    std::ostringstream text;
    text << file.rdbuf();
    return !is_first_uid_map(text.str());
}

std::string own_host() {
    std::array<char, 256> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

}  // namespace lockstep
