#pragma once

#include <sys/stat.h>

#include <string>

/// Files whose text is acted by are the word of everybody who may write to them, and secrets are
/// known to everybody who may read them. Here is said who that is besides the caller and root, who
/// can do everything anyway.
namespace lockstep {

/// How somebody came to a file.
enum class FoundBy {
    name,  ///< the caller named it: a folder with the sticky bit, such as /tmp, is all right
    luck,  ///< it was looked for, and there it was: nobody else may write to its folder either
};

/// Who else may write to the open file, or put another one in its place: in its folder, and in that
/// of each symlink on the way to it. `everybody may write to FILE`; empty: nobody else. A group
/// counts as its owner's where nobody else is in it and it has the owner's name (as umask 002 wants
/// it); access lists are read as well. What is no regular file (a pipe) has no folder.
[[nodiscard]] std::string who_else_may_write(int fd, const std::string& path, FoundBy by);

/// The same of a path; empty also where there is nothing to open.
[[nodiscard]] std::string who_else_may_write(const std::string& path, FoundBy by);

/// Why the secret in an open file is not one; empty: nobody but root and the caller knows or
/// chooses it.
[[nodiscard]] std::string who_else_knows(int fd, const std::string& path);
[[nodiscard]] std::string who_else_knows(const std::string& path);

/// The first line of a secret's file, without its end. A pipe that is nobody else's, either, such
/// as the shell's `<(command)`, is read once, within ten seconds. Throws Error, which never quotes
/// it, for one that others know, is neither file nor pipe, or is empty. `what` is what messages
/// call it: `the key`.
[[nodiscard]] std::string read_secret_line(const std::string& path, const std::string& what);

/// Whether nobody but the caller and root is in a group, by the user database.
[[nodiscard]] bool is_own_group(gid_t number);

/// The name of a user; its number where the database has none.
[[nodiscard]] std::string name_of_user(uid_t user);

}  // namespace lockstep
