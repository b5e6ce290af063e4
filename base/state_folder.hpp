#pragma once

#include "base/unique_fd.hpp"

#include <sys/stat.h>

#include <string>

namespace lockstep {

/// A folder in which this program keeps files, and in which others may put what they like where
/// people share it: a link to somebody's file, another file of theirs, a pipe. So it is held open,
/// its files are made in it and nowhere else, and what is there already is looked at before anybody
/// reads or writes it. Only what was made just now gets an owner's group and a mode.
///
/// It belongs to the caller or root; or to one of its group, where the group may write to it: then
/// people share it. Everything here throws Error.
class StateFolder {
  public:
    /// Makes it where it is missing, for its owner alone (0700); one of the caller's that was there
    /// becomes that, too, unless its group may write to it. Refuses one that everybody may write
    /// to, and a symlink that is somebody else's.
    [[nodiscard]] static StateFolder make(const std::string& path);

    /// One that is there; nothing of it is changed.
    explicit StateFolder(const std::string& path);

    /// Where it really is, without symlinks.
    [[nodiscard]] const std::string& path() const { return path_; }

    [[nodiscard]] bool is_shared() const { return (about_.st_mode & S_IWGRP) != 0; }

    /// Makes a file: 0600, or the group's (0660) where people share the folder. One that is there
    /// is left as it is, if it is fit.
    void make_file(const std::string& name) const;

    /// Whether this process may write to a file that is there, or make it.
    [[nodiscard]] bool is_writable(const std::string& name) const;

    /// Refuses what is there and is not a regular file with one name, of the caller, of root, or of
    /// somebody with whom the folder is shared; and one that everybody may write to.
    void refuse_unfit(const std::string& name) const;

  private:
    [[nodiscard]] bool is_one_of_us(uid_t user) const;

    UniqueFd fd_;

    struct stat about_ {};

    std::string path_;
};

}  // namespace lockstep
