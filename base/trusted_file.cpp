#include "base/trusted_file.hpp"

#include "base/deadline.hpp"
#include "base/error.hpp"
#include "base/secret.hpp"
#include "base/unique_fd.hpp"
#include "base/units.hpp"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

namespace lockstep {

namespace {

constexpr unsigned k_read = 4;
constexpr unsigned k_write = 2;
constexpr int k_most_links = 40;                                  // as the kernel
constexpr std::size_t k_longest_entry = std::size_t{256} * 1024;  // of a group with many members
constexpr std::size_t k_longest_secret = std::size_t{64} * 1024;
constexpr std::chrono::seconds k_pipe_patience{10};  // as a secret's command has

bool is_ours(uid_t user) {
    return user == 0 || user == ::geteuid();
}

/// A group of the database; nullopt: it has none of this number.
struct Group {
    std::string name;
    std::vector<std::string> members;
};

std::optional<Group> find_group(gid_t number) {
    group entry{};
    group* found = nullptr;
    std::vector<char> buffer(k_longest_entry);
    if (::getgrgid_r(number, &entry, buffer.data(), buffer.size(), &found) != 0 ||
        found == nullptr) {
        return std::nullopt;
    }
    Group one{found->gr_name, {}};
    for (char** member = found->gr_mem; *member != nullptr; ++member) {
        one.members.emplace_back(*member);
    }
    return one;
}

std::string name_of_group(gid_t number) {
    const std::optional<Group> found = find_group(number);
    return found ? found->name : std::to_string(number);
}

/// One line of an access list, as the kernel keeps them (linux/posix_acl_xattr.h; little endian).
struct AclEntry {
    std::uint16_t tag = 0;
    std::uint16_t bits = 0;
    std::uint32_t id = 0;
};

constexpr std::uint16_t k_acl_user = 0x02;
constexpr std::uint16_t k_acl_own_group = 0x04;
constexpr std::uint16_t k_acl_group = 0x08;
constexpr std::uint16_t k_acl_mask = 0x10;

std::vector<AclEntry> entries_of(const std::string& list) {
    std::vector<AclEntry> entries;
    for (std::size_t at = sizeof(std::uint32_t); at + sizeof(AclEntry) <= list.size();
         at += sizeof(AclEntry)) {
        std::memcpy(&entries.emplace_back(), list.data() + at, sizeof(AclEntry));
    }
    return entries;
}

/// Owner, mode and access list of a file.
struct Access {
    struct stat about {};

    std::string list;  ///< empty: the mode says all

    /// Who besides us may do it: `everybody`, `the group ops`, `bert`; empty: nobody.
    [[nodiscard]] std::string others(unsigned bits) const {
        if (!is_ours(about.st_uid)) {
            return name_of_user(about.st_uid);  // who owns it gives the right to whom they like
        }
        if ((about.st_mode & bits) != 0) {
            return "everybody";
        }
        if (((about.st_mode >> 3U) & bits) == 0) {  // with a list: the most that any of them has
            return {};
        }
        return list.empty() ? of_group(about.st_gid) : of_list(bits);
    }

    [[nodiscard]] static std::string of_group(gid_t group) {
        return is_own_group(group) ? "" : "the group " + name_of_group(group);
    }

    [[nodiscard]] std::string of_list(unsigned bits) const {
        const std::vector<AclEntry> entries = entries_of(list);
        unsigned mask = k_read | k_write;
        for (const AclEntry& entry : entries) {
            mask = entry.tag == k_acl_mask ? entry.bits : mask;
        }
        for (const AclEntry& entry : entries) {
            const bool may = (entry.bits & mask & bits) != 0;
            std::string who;
            if (may && entry.tag == k_acl_user && !is_ours(entry.id)) {
                who = name_of_user(entry.id);
            } else if (may && entry.tag == k_acl_own_group) {
                who = of_group(about.st_gid);
            } else if (may && entry.tag == k_acl_group) {
                who = of_group(entry.id);
            }
            if (!who.empty()) {
                return who;
            }
        }
        return {};
    }
};

constexpr const char* k_acl_name = "system.posix_acl_access";

/// `read` is fgetxattr or getxattr of the file. One that cannot be read is none that we can judge:
/// then the group bits count as the group's.
std::string list_by(const std::function<ssize_t(char*, std::size_t)>& read) {
    std::string list(4096, '\0');
    const ssize_t size = read(list.data(), list.size());
    list.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return list;
}

std::optional<Access> access_of(int fd) {
    Access access;
    if (::fstat(fd, &access.about) != 0) {
        return std::nullopt;
    }
    access.list =
        list_by([&](char* to, std::size_t size) { return ::fgetxattr(fd, k_acl_name, to, size); });
    return access;
}

std::optional<Access> access_of(const std::string& path) {
    Access access;
    if (::stat(path.c_str(), &access.about) != 0) {
        return std::nullopt;
    }
    access.list = list_by(
        [&](char* to, std::size_t size) { return ::getxattr(path.c_str(), k_acl_name, to, size); });
    return access;
}

/// Whoever may write to a folder can put another file in the place of one; with the sticky bit only
/// in that of their own.
std::string who_writes_to_folder(const std::filesystem::path& folder, FoundBy by) {
    const std::string path = folder.empty() ? "." : folder.string();
    const std::optional<Access> access = access_of(path);
    if (!access) {
        return "its folder " + path + " cannot be looked at";
    }
    const bool sticky = by == FoundBy::name && (access->about.st_mode & S_ISVTX) != 0;
    if (sticky && is_ours(access->about.st_uid)) {
        return {};
    }
    const std::string who = access->others(k_write);
    return who.empty() ? "" : who + " may write to its folder " + path;
}

UniqueFd open_to_look(const std::string& path) {
    return UniqueFd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
}

}  // namespace

std::string name_of_user(uid_t user) {
    passwd entry{};
    passwd* found = nullptr;
    std::array<char, std::size_t{16} * 1024> buffer{};
    ::getpwuid_r(user, &entry, buffer.data(), buffer.size(), &found);
    return found == nullptr ? "user " + std::to_string(user) : found->pw_name;
}

/// A directory service need not list its users, so that the name has to be ours, too.
bool is_own_group(gid_t number) {
    const std::optional<Group> found = find_group(number);
    if (!found || (found->name != name_of_user(0) && found->name != name_of_user(::geteuid())) ||
        std::ranges::any_of(found->members, [&](const std::string& member) {
            return member != found->name && member != name_of_user(0);
        })) {
        return false;
    }
    static std::mutex one_at_a_time;  // of getpwent
    const std::lock_guard lock(one_at_a_time);
    bool ours = true;
    ::setpwent();                                // NOLINT(concurrency-mt-unsafe)
    while (const passwd* user = ::getpwent()) {  // NOLINT(concurrency-mt-unsafe)
        ours = ours && (user->pw_gid != number || is_ours(user->pw_uid));
    }
    ::endpwent();  // NOLINT(concurrency-mt-unsafe)
    return ours;
}

std::string who_else_may_write(int fd, const std::string& path, FoundBy by) {
    const std::optional<Access> access = access_of(fd);
    if (!access) {
        return path + " cannot be looked at";
    }
    if (const std::string who = access->others(k_write); !who.empty()) {
        return who + " may write to it";
    }
    if (!S_ISREG(access->about.st_mode)) {
        return {};
    }
    std::filesystem::path step = path;
    for (int links = 0; links < k_most_links; ++links) {
        std::filesystem::path folder = step.parent_path();
        if (std::string why = who_writes_to_folder(folder, by); !why.empty()) {
            return why;
        }
        std::error_code error;
        const std::filesystem::path target = std::filesystem::read_symlink(step, error);
        if (error) {  // no link
            return {};
        }

        struct stat link {};

        if (::lstat(step.c_str(), &link) != 0 || !is_ours(link.st_uid)) {
            return "a symlink leads to it that is somebody else's: " + step.string();
        }
        step = target.is_absolute() ? target : folder / target;
    }
    return "too many symlinks lead to it";
}

std::string who_else_may_write(const std::string& path, FoundBy by) {
    const UniqueFd fd = open_to_look(path);
    return fd ? who_else_may_write(fd.get(), path, by) : "";
}

std::string who_else_knows(int fd, const std::string& path) {
    const std::optional<Access> access = access_of(fd);
    if (!access) {
        return path + " cannot be looked at";
    }
    if (!is_ours(access->about.st_uid)) {
        return path + " belongs to " + name_of_user(access->about.st_uid);
    }
    for (const auto& [bits, can] :
         {std::pair{k_read, " is readable by "}, std::pair{k_write, " can be written by "}}) {
        if (const std::string who = access->others(bits); !who.empty()) {
            return path + can + who;
        }
    }
    return {};
}

std::string who_else_knows(const std::string& path) {
    const UniqueFd fd = open_to_look(path);
    return fd ? who_else_knows(fd.get(), path) : "";
}

namespace {

/// Waits for what a pipe has to give. False: it will give nothing more, or our time is up.
bool wait_for_more(int fd, bool nobody_writes, Deadline deadline) {
    while (true) {
        pollfd about{fd, POLLIN, 0};
        const int ready = ::poll(&about, 1, static_cast<int>(deadline.remaining().count()));
        if (ready < 0 && errno == EINTR && !deadline.expired()) {
            continue;
        }
        return ready > 0 && ((about.revents & POLLIN) != 0 || !nobody_writes);
    }
}

/// The first line; of a pipe as it comes. An end without a line's end is one, too; nullopt: neither
/// came.
std::optional<std::string> read_line(int fd, bool is_pipe, Deadline deadline) {
    std::string text(k_longest_secret, '\0');
    std::size_t length = 0;
    while (length < text.size()) {
        const ssize_t count = ::read(fd, text.data() + length, text.size() - length);
        if (count > 0) {
            length += static_cast<std::size_t>(count);
            const std::size_t end = text.find('\n');
            if (end < length) {
                return text.substr(0, end);
            }
            continue;
        }
        const bool waits = count < 0 && (errno == EAGAIN || errno == EINTR);
        // Of a pipe 0 is also: nobody has opened it to write yet.
        const bool may_come = is_pipe && (waits || (count == 0 && length == 0));
        if (may_come && wait_for_more(fd, count == 0, deadline)) {
            continue;
        }
        return count == 0 && (length > 0 || !may_come || !deadline.expired())
                   ? std::optional(text.substr(0, length))
                   : std::nullopt;
    }
    return std::nullopt;
}

/// A pipe can be read once, and a secret is asked for wherever it is used.
class ReadPipes {
  public:
    std::optional<std::string> line_of(int fd, const std::string& path, const struct stat& about) {
        const std::lock_guard lock(mutex_);
        const auto key = std::make_tuple(path, about.st_dev, about.st_ino);
        if (const auto known = lines_.find(key); known != lines_.end()) {
            return known->second.reveal();
        }
        std::optional<std::string> line = read_line(fd, true, Deadline::after(k_pipe_patience));
        if (line) {
            lines_.emplace(key, Secret(*line));
        }
        return line;
    }

  private:
    std::mutex mutex_;
    std::map<std::tuple<std::string, dev_t, ino_t>, Secret> lines_;
};

}  // namespace

std::string read_secret_line(const std::string& path, const std::string& what) {
    const UniqueFd fd = open_to_look(path);
    if (!fd) {
        throw Error(
            what + "'s file " + path + " cannot be read: " + std::generic_category().message(errno),
            "Check that it exists and that you may read it.");
    }

    struct stat about {};

    if (::fstat(fd.get(), &about) != 0 || !(S_ISREG(about.st_mode) || S_ISFIFO(about.st_mode))) {
        throw Error(what + "'s file " + path + " is neither a regular file nor a pipe");
    }
    if (const std::string why = who_else_knows(fd.get(), path); !why.empty()) {
        throw Error(what + "'s file " + why,
                    "It has to be yours or root's, and nobody else's to read: run chmod 600 " +
                        path + ", and consider the secret known.");
    }
    static ReadPipes pipes;
    std::optional<std::string> line = S_ISFIFO(about.st_mode)
                                          ? pipes.line_of(fd.get(), path, about)
                                          : read_line(fd.get(), false, Deadline::after({}));
    if (!line) {
        throw Error(what + "'s file " + path + " gives no whole line: " +
                    (S_ISFIFO(about.st_mode) ? "none came in " + format_duration(k_pipe_patience) +
                                                   ", or none within 64 KiB"
                                             : "none within 64 KiB, or it cannot be read"));
    }
    if (line->ends_with('\r')) {
        line->pop_back();
    }
    if (line->empty()) {
        throw Error(what + "'s file " + path + " is empty, or its first line is");
    }
    return std::move(*line);
}

}  // namespace lockstep
