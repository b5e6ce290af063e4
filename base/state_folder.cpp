#include "base/state_folder.hpp"

#include "base/error.hpp"
#include "base/trusted_file.hpp"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <system_error>
#include <vector>

namespace lockstep {

namespace {

std::string reason(int number) {
    return std::generic_category().message(number);
}

/// By the user database; a user that it does not know is in no group.
bool is_in_group(uid_t user, gid_t group) {
    passwd entry{};
    passwd* found = nullptr;
    std::array<char, std::size_t{16} * 1024> buffer{};
    if (::getpwuid_r(user, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
        return false;
    }
    std::vector<gid_t> groups(64);
    auto count = static_cast<int>(groups.size());
    if (::getgrouplist(found->pw_name, found->pw_gid, groups.data(), &count) < 0) {
        groups.resize(static_cast<std::size_t>(count));
        ::getgrouplist(found->pw_name, found->pw_gid, groups.data(), &count);
    }
    groups.resize(static_cast<std::size_t>(count));
    return std::ranges::find(groups, group) != groups.end();
}

/// A link of ours to a larger disk is all right; one that somebody else could turn is not followed.
UniqueFd open_folder(const std::string& path) {
    constexpr int k_flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    UniqueFd fd(::open(path.c_str(), k_flags | O_NOFOLLOW));
    if (fd) {
        return fd;
    }
    const int number = errno;

    struct stat link {};

    if (::lstat(path.c_str(), &link) == 0 && S_ISLNK(link.st_mode)) {
        if (link.st_uid != 0 && link.st_uid != ::geteuid()) {
            throw Error(path + " is a symlink of " + name_of_user(link.st_uid),
                        "Name the folder itself.");
        }
        fd = UniqueFd(::open(path.c_str(), k_flags));
        if (fd) {
            return fd;
        }
    }
    throw Error("cannot open the folder " + path + ": " + reason(number));
}

std::string real_path(int fd) {
    std::error_code error;
    std::filesystem::path path =
        std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), error);
    if (error) {
        throw Error("cannot see where the folder is: " + error.message(), "Is /proc mounted?");
    }
    return path.string();
}

}  // namespace

StateFolder StateFolder::make(const std::string& path) {
    std::filesystem::path place = std::filesystem::path(path).lexically_normal();
    if (!place.has_filename()) {
        place = place.parent_path();  // `folder/`
    }
    std::error_code error;
    if (place.has_parent_path()) {
        std::filesystem::create_directories(place.parent_path(), error);
    }
    if (error || (::mkdir(place.c_str(), S_IRWXU) != 0 && errno != EEXIST)) {
        throw Error("cannot make the folder " + path + ": " +
                    (error ? error.message() : reason(errno)));
    }
    StateFolder folder(place.string());
    if (folder.about_.st_uid == ::geteuid() && !folder.is_shared() &&
        (folder.about_.st_mode & 07777U) != S_IRWXU) {
        ::fchmod(folder.fd_.get(), S_IRWXU);
    }
    return folder;
}

StateFolder::StateFolder(const std::string& path)
    : fd_(open_folder(path)), path_(real_path(fd_.get())) {
    if (::fstat(fd_.get(), &about_) != 0) {
        throw Error("cannot look at the folder " + path + ": " + reason(errno));
    }
    if ((about_.st_mode & S_IWOTH) != 0) {
        throw Error("everybody may write to the folder " + path);
    }
    if (!is_one_of_us(about_.st_uid)) {
        throw Error("the folder " + path + " belongs to " + name_of_user(about_.st_uid));
    }
}

bool StateFolder::is_one_of_us(uid_t user) const {
    return user == ::geteuid() || user == 0 || (is_shared() && is_in_group(user, about_.st_gid));
}

void StateFolder::make_file(const std::string& name) const {
    constexpr int k_flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    const UniqueFd fd(::openat(fd_.get(), name.c_str(), k_flags, S_IRUSR | S_IWUSR));
    if (!fd && errno != EEXIST) {
        throw Error("cannot make " + path_ + "/" + name + ": " + reason(errno));
    }
    if (fd && is_shared()) {
        (void)!::fchown(fd.get(), static_cast<uid_t>(-1), about_.st_gid);
        (void)::fchmod(fd.get(), S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP);
    }
    if (!fd) {
        refuse_unfit(name);
        if (::faccessat(fd_.get(), name.c_str(), R_OK | W_OK, AT_EACCESS) != 0) {
            throw Error("cannot open " + path_ + "/" + name + ": " + reason(errno),
                        is_shared() ? "It was made before the folder was shared: its owner says "
                                      "chmod g+rw for it."
                                    : "");
        }
    }
}

/// Of the folder as well: SQLite keeps files beside the file.
bool StateFolder::is_writable(const std::string& name) const {
    const auto may = [&](const char* path) {
        return ::faccessat(fd_.get(), path, W_OK, AT_EACCESS) == 0;
    };
    return may(".") && (may(name.c_str()) || errno == ENOENT);
}

/// O_PATH neither follows, waits nor reads: a pipe and a device are only looked at.
void StateFolder::refuse_unfit(const std::string& name) const {
    const std::string whole = path_ + "/" + name;
    const UniqueFd fd(::openat(fd_.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));

    struct stat about {};

    if (!fd && errno == ENOENT) {
        return;
    }
    if (!fd || ::fstat(fd.get(), &about) != 0) {
        throw Error("cannot look at " + whole + ": " + reason(errno));
    }
    std::string why;
    if (!S_ISREG(about.st_mode)) {
        why = S_ISLNK(about.st_mode) ? "is a symlink" : "is no regular file";
    } else if (about.st_nlink != 1) {
        why = "is a file that has other names, too";
    } else if ((about.st_mode & S_IWOTH) != 0) {
        why = "can be written by everybody";
    } else if (!is_one_of_us(about.st_uid)) {
        why = "belongs to " + name_of_user(about.st_uid);
    }
    if (!why.empty()) {
        throw Error(whole + " " + why + ": it is neither read nor written",
                    "Somebody put it there; find out who, and remove it.");
    }
}

}  // namespace lockstep
