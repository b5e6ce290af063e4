#pragma once

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

/// What the engine knows of an action: data, not code. The rows are in steps/catalog.cpp.
namespace lockstep {

enum class ParamKind {
    string,
    shell,  ///< a text for a shell: values are quoted when they are put in
    integer,
    boolean,
    duration,
    bytes,
    version,
    list,        ///< of strings
    map,         ///< of strings
    any,         ///< any YAML, kept as it is: a JSON body, a patch
    expression,  ///< a bare expression, evaluated by the action again and again
};

struct ParamSchema {
    std::string name;
    ParamKind kind = ParamKind::string;
    bool required = false;
    std::string description;
    std::vector<std::string> values;  ///< what a string may be; empty: anything
    bool secret = false;              ///< it may hold one
};

/// A field of what a step registers: `steps.NAME.field`.
struct OutputSchema {
    std::string name;
    std::string description;
};

/// Where an action may stand.
enum class ActionScope {
    member,   ///< needs a member: under `on`, or on each member when it stands alone
    cluster,  ///< acts once for the cluster
    either,   ///< once per member under `on`, else once
};

struct ActionSchema {
    std::string name;
    std::string summary;
    ActionScope scope = ActionScope::either;
    bool changes = false;  ///< may change something; false: it only looks, also in a preview
    /// Of one that takes `read_only`: what that is unless it is given. With `looking_methods` true
    /// only where `method` is not given, or is one of them.
    bool looks_by_default = false;
    std::vector<std::string> looking_methods;
    bool repeatable = true;  ///< running it twice ends as running it once
    bool alone = false;      ///< of the facts it reads those of its own member alone
    bool spooled = false;  ///< what it does runs on the member by itself and can be followed again
    bool gates = false;    ///< the run goes on after it only where something holds
    /// A gate that a person answers, not code: `approve`; with `answered`, `manual`, whose answer
    /// is what was done.
    bool asks = false;
    bool answered = false;
    std::chrono::seconds estimate{0};  ///< how long it takes where no earlier run tells; 0: no time
    /// What users of the database notice of it; empty: nothing.
    std::string felt;
    /// What it moves on purpose, of `leader`, `timeline` and `postmaster` (of who led): guards take
    /// these from where it has moved them to.
    std::vector<std::string> moves;
    bool temporary = false;  ///< its change is meant to be taken back before the run ends
    std::string ends;        ///< the temporary action that this one takes back: `patroni.pause`
    std::string
        measured_as;  ///< of a temporary one: the field of `measured` with how long it lasted
    /// Of an action that takes a change back: the one that prepares it, with the same arguments and
    /// before the first change: `package.keep` of `package.restore`.
    std::string prepared_by;
    std::string preparation_id;  ///< of one that prepares: what its steps are called, `keep`
    /// The finding that says it cannot be prepared; who accepts it of a member goes without there.
    std::string waived_by;
    /// The guard that its work breaks: a runbook has one of the two.
    std::string breaks_guard;
    /// The params of which at most one may be given, and exactly one where any of them is required.
    std::vector<std::string> one_of;
    std::vector<ParamSchema> params;
    std::vector<OutputSchema> outputs;  ///< all that it gives; empty: not known
    /// Its preview says how it is taken back, or that nothing is left to take back. False: only a
    /// runbook can say.
    bool own_undo = true;

    [[nodiscard]] bool moves_leader() const {
        return std::find(moves.begin(), moves.end(), "leader") != moves.end();
    }

    [[nodiscard]] const ParamSchema* param(std::string_view wanted) const {
        for (const ParamSchema& candidate : params) {
            if (candidate.name == wanted) {
                return &candidate;
            }
        }
        return nullptr;
    }
};

using ActionCatalog = std::vector<ActionSchema>;

[[nodiscard]] inline const ActionSchema* find_action(const ActionCatalog& catalog,
                                                     std::string_view name) {
    for (const ActionSchema& schema : catalog) {
        if (schema.name == name) {
            return &schema;
        }
    }
    return nullptr;
}

}  // namespace lockstep
