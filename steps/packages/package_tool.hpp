#pragma once

/// steps/packages/: what installs packages on a member: apt, dnf or yum, one file a tool. It
/// renders commands and shell functions and sends nothing: that is for the actions package.* in
/// steps/actions/, which read the same for all tools because each defines the functions below under
/// the same names. Read this file first, then apt.cpp.

#include "cluster/facts.hpp"
#include "steps/actions/action.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

/// Which of two versions is newer matters to yum alone, which has two verbs.
enum class Direction { up, down };

struct PackageTool {
    std::string_view name;     ///< as the facts have it: `apt`
    std::string_view program;  ///< as messages name it: `apt-get`
    std::string_view holder;   ///< what puts a package on hold: `apt-mark`
    std::string_view suffix;   ///< of a package's file: `.deb`

    /// Defines `offered NAME`: the versions that the member's repositories have, one a line, from
    /// what the member has of their lists already. Apart, for the observation needs only this.
    std::string_view offered;

    /// Defines the other functions; their arguments are data, whatever is in them.
    ///   installed NAME        the version that is installed whole; nothing where none is
    ///   unpacked NAME         the version on the disk, in whatever state
    ///   changed NAME          when its files were changed last, seconds since the epoch
    ///   trouble NAME          what an interrupted call has left, in a line; nothing: nothing
    ///   repair                finishes what an interrupted call has left, where that can be done
    ///   holders               who has the tool's lock: `apt-get (pid 12)`; nothing: nobody
    ///   busy STATUS           true where a command that ended so is to be tried again
    ///   can_hold              false where the tool cannot put a package on hold here
    ///   held NAME             `yes` or `no`; fails where the tool cannot tell
    ///   known NAME            true where the tool has heard of such a package
    ///   preferred NAME        `candidate VERSION`, and `VERSION PRIORITY` of every version (pins)
    ///   simulated ITEM        what installing it would do: `Inst NAME [OLD]`, `Remv NAME`, `E: …`
    ///   sizes                 of what `simulated` printed: bytes of the archives, and unpacked;
    ///                         nothing where the tool looks at free space before it begins
    ///   described FILE        `NAME VERSION` of a package's file
    ///   cached NAME VERSION   the file that an earlier download of it has left; nothing: none
    ///   can_repack NAME VERSION  true where that is installed and can be made a file again
    ///   fetch SOURCE NAME VERSION  puts that package as a file into the working directory
    ///   whole FILE            true where all of the file can be read; says what cannot
    ///   as_indexed FILE NAME VERSION  false where the index knows another file under that name
    ///   vouched FILE NAME VERSION  true where the index knows that very file, or a key that is
    ///                         trusted there has signed it
    ///   against ITEM...       what speaks against installing these from the files in the working
    ///                         directory; nothing: nothing
    ///   configuration NAME    the paths of its configuration files
    /// and sets `beside` to the endings of what is put beside a configuration file that a person
    /// edited, `replaced` to those of what such a file is moved to, and `sources` to where a
    /// package is fetched from, the best first.
    std::string_view functions;

    /// The command that makes exactly these be installed, each `name=version` or the path of a
    /// file. It asks nothing, removes nothing, and keeps configuration that a person edited.
    std::string (*install)(const std::vector<std::string>& wanted, Direction direction);
    /// The same for the files `"$@"` in `$folder`, of the way back, with no repository at all.
    std::string_view install_kept;
    std::string (*mark)(bool hold, const std::string& package);
    /// A package of the PostgreSQL server: files that a running one goes on reading.
    bool (*is_server)(std::string_view package);

    std::string_view refresh;   ///< how its lists are read anew, for hints
    std::string_view mend;      ///< how what was interrupted is repaired
    std::string_view holds_by;  ///< the package that can_hold wants
    std::string_view log;       ///< where it tells more
};

extern const PackageTool k_apt;
extern const PackageTool k_dnf;
extern const PackageTool k_yum;

/// The tool of a member; nullptr: it has none that is known.
[[nodiscard]] const PackageTool* package_tool(const MemberFacts& member);

/// The tool that a probe may ask on the call's member; nullptr: there is none, or no way to it.
[[nodiscard]] const PackageTool* tool_to_probe(const StepCall& call, const ClusterFacts& facts);

/// The tool of the member that a preview is about; nullptr: it has none, or cannot be reached, and
/// the preview refuses now.
[[nodiscard]] const PackageTool* tool_for_preview(const StepCall& call,
                                                  const ClusterFacts& facts,
                                                  Preview& preview);

/// The tool for a call that was previewed; throws Error where the member has none.
[[nodiscard]] const PackageTool& package_tool(const MemberFacts& member, const StepCall& call);

/// Shell text that sets `tool` to its name, or to nothing. The family of the operating system
/// decides where there are tools of both: a Debian that has dnf for building images, an EL that has
/// apt. Its package database is the one that tells what is installed.
extern const std::string_view k_find_package_tool;

/// The shell library of a tool, with LC_ALL=C, which all of it relies on, and made of it `source_of
/// NAME VERSION`: where fetch would take that from: repository, cache or installed; `get NAME
/// VERSION`: fetches it, whole and as the index knows it; `is_kept FOLDER ITEM...`: whether all of
/// them and nothing else were kept there, and none is cut short; `are_vouched FOLDER ITEM...`; and
/// `trust` (steps/spool/member_folder.hpp).
[[nodiscard]] std::string package_functions(const PackageTool& tool);

/// Shell text that runs an install command, waits for the tool's lock up to a deadline of its own,
/// and leaves `status`.
[[nodiscard]] std::string patiently(const std::string& command);

/// Shell text that prints what a failed install has to be told by: `busy=` who has the lock, and of
/// one that succeeded `kept=` and `replaced=`, the configuration files that were touched since
/// `begun`.
[[nodiscard]] std::string package_report(const std::string& package);

/// The way from one version to another by the rules of the tool's family.
[[nodiscard]] Direction direction(const PackageTool& tool,
                                  const std::string& from,
                                  const std::string& to);

/// The argument `package`, checked: a name with a dash in front would be an option, one with *
/// several packages. Throws Error.
[[nodiscard]] std::string package_name(const StepCall& call);

/// The member's folder of the packages that are kept for a way back: those of one version.
[[nodiscard]] std::string kept_folder(const std::string& package, const std::string& version);

/// Of what was kept by whomever: it is whole, and the index, or a key that is trusted there,
/// vouches for each file. `complete` alone proves nothing.
inline constexpr const char* k_kept_and_vouched =
    "is_kept \"$folder\" \"$@\" && are_vouched \"$folder\" \"$@\"";

/// Shell text that sets `folder` to where the call's packages are kept, and `kept` to 1 where by
/// `counts`, a command, they are; else `folder` is where they would be. Its arguments are the
/// packages from then on. Calls `refuse WHY`, which must not return, where somebody else can write
/// there.
[[nodiscard]] std::string find_kept(const StepCall& call,
                                    const std::string& counts = k_kept_and_vouched);

/// `name=version` of the call, then what its `also` holds.
[[nodiscard]] std::vector<std::string> packages_of(const StepCall& call);

}  // namespace lockstep
