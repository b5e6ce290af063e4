#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>
#include <vector>

/// What a plan says it would send, and what takes that back.
namespace lockstep {

/// One exact command or request, as text for people. What `plan` prints is what a run sends.
struct Operation {
    enum class Kind { ssh, http, sql, local };

    Kind kind = Kind::ssh;
    std::string text;

    friend bool operator==(const Operation&, const Operation&) = default;
};

[[nodiscard]] std::string_view to_text(Operation::Kind kind);

/// One call that takes a change back: an action like any other, with its arguments frozen before
/// the change is made. Running it is safe although the change never happened: its preview sees
/// that there is nothing to do.
struct Undo {
    Operation operation;  ///< the same for people
    std::string uses;
    std::string member;   ///< empty: the cluster
    nlohmann::json with;  ///< plain values

    [[nodiscard]] nlohmann::json to_json() const;
    [[nodiscard]] static Undo from_json(const nlohmann::json& json);
    friend bool operator==(const Undo&, const Undo&) = default;
};

/// The undos with those `besides` them. One of these that puts the same thing somewhere goes in the
/// place of the undo: a package is not installed twice on its way back.
[[nodiscard]] std::vector<Undo> with_besides(std::vector<Undo> undo,
                                             const std::vector<Undo>& besides);

/// Whether both put the same thing on the same member, to whatever version.
[[nodiscard]] bool same_thing(const Undo& a, const Undo& b);

[[nodiscard]] nlohmann::json to_json(const std::vector<Operation>& operations);
/// Reads one operation from JSON with `kind` and `text`; other keys are ignored.
[[nodiscard]] Operation operation_from(const nlohmann::json& json);
[[nodiscard]] nlohmann::json to_json(const std::vector<Undo>& undo);

}  // namespace lockstep
