#pragma once

/// engine/runbook/: the language of runbooks: the table of its keys, the loader, the rules, and the
/// schema and reference that are made of the same rows. It knows no cluster and no action but by
/// its schema (action_schema.hpp). Read this file first, then language.cpp, runbook_loader.cpp and
/// runbook_rules.cpp.

#include "base/error.hpp"
#include "base/trusted_file.hpp"
#include "engine/expression/expression.hpp"
#include "engine/runbook/action_schema.hpp"
#include "engine/window/window.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

/// A runbook as it was written: parsed, checked, immutable.
namespace lockstep {

enum class InputType {
    string,
    integer,
    boolean,
    version,
    duration,
    bytes,
    enumeration,
    list,
    secret
};

struct InputSpec {
    std::string name;
    InputType type = InputType::string;
    bool required = false;
    std::optional<Value> default_value;
    std::string description;
    std::string pattern;              ///< a regular expression for the whole text; empty: none
    std::vector<std::string> values;  ///< of an enumeration
    SourceLocation where;
};

/// A `with:` value: a text with expressions in it, a bare expression, or a list or map of such.
struct Argument {
    struct Entry;
    using List = std::vector<Argument>;
    using Map = std::vector<Entry>;

    /// Value: a scalar that needs no evaluation (a plain YAML number, bool or null).
    std::variant<Value, Template, Expression, List, Map> content;
    SourceLocation where;
};

/// Of a map: not a pair, which clang 14 cannot build of a type that is not complete yet.
struct Argument::Entry {
    std::string first;
    Argument second;
};

using Arguments = std::map<std::string, Argument, std::less<>>;

/// How a step or block is spread over the members it runs on.
struct Strategy {
    struct Batch {
        int count = 1;
        bool percent = false;  ///< of all members of the step, rounded up
        bool all = false;
    };

    std::vector<Batch> batch{{1, false, false}};  ///< the last one repeats
    std::optional<Expression> batch_by;           ///< or an expression that says it
    std::string order = "name";                   ///< name | lag_asc | lag_desc | leader_last
    std::optional<Expression> order_by;  ///< or an expression over `member`, the smallest first
    int max_failed = 0;                  ///< more than this many failed members stop the run
    int max_unreachable = 0;             ///< likewise, of members that could not be reached
};

struct Retry {
    int attempts = 1;
    std::chrono::milliseconds delay{1000};
    double backoff = 1.0;  ///< each delay is the one before times this
};

enum class OnFailure { stop, carry_on, rollback };

/// What becomes of a step whose outcome is not known.
enum class InDoubt {
    verify,  ///< it is looked at: by its `verify`, else by what its action sees
    retry,   ///< it is done again
    ask,     ///< a person has to say
    fail,    ///< it counts as failed
};

/// Who has to say yes before a step may start.
struct ApprovalSpec {
    int count = 1;  ///< so many different people
    std::vector<std::string>
        from;              ///< `user`, `user@host`, groups of the inventory; empty: anybody
    bool not_self = true;  ///< not the one who started the run
    std::optional<std::chrono::milliseconds> expires;  ///< so long after it was asked for
    bool ask_again = false;  ///< what comes of one that expired; false: the step fails
    std::string message;     ///< what is asked; empty: for the step by its name
    SourceLocation where;
};

/// What a step registers of its output.
struct OutputSpec {
    enum class As {
        whole,  ///< as the action gives it
        text,   ///< stdout (of http.request the body) without the line breaks at its end
        lines,  ///< its lines
        json,   ///< what it says, as JSON
    };

    As as = As::whole;
    std::optional<Expression> select;  ///< over `result`, which is the output read like that
};

/// Who is told of what.
struct NotifySpec {
    std::vector<std::string> on;  ///< start, wait, approval, failure, slow, end
    std::vector<std::string> to;  ///< targets of the inventory; empty: all of them
    SourceLocation where;
};

struct Runbook;

/// An action and its arguments, given inside a step: an entry of `undo`, or `verify`.
struct CallSpec {
    std::string uses;
    Arguments with;
    SourceLocation where;
};

/// One entry of `steps`: an action (`uses`) or a block of steps.
struct StepSpec {
    std::string id;    ///< unique among its siblings; `block.step` in plans and records
    std::string name;  ///< a label; empty: the id
    std::string uses;  ///< empty: a block
    Arguments with;
    std::vector<StepSpec> steps;
    /// Of a block that another runbook is put in as: that runbook, whose inputs are `with.inputs`.
    std::shared_ptr<const Runbook> called;
    /// Siblings before it that must be over; nullopt: all of them.
    std::optional<std::vector<std::string>> needs;
    std::optional<std::string> on;      ///< leader | replicas | sync | members | a member's name
    std::optional<Expression> on_that;  ///< or an expression over `member`
    Strategy strategy;
    std::optional<Expression> when;
    std::optional<Expression> for_each;  ///< a list; the element is `item`
    Retry retry;
    std::optional<Expression> until;  ///< over `result`: a success counts once this is true
    std::optional<std::chrono::milliseconds> timeout;
    std::optional<std::chrono::milliseconds> estimate;  ///< how long it is expected to take
    std::optional<ApprovalSpec> approval;
    std::optional<WindowSpec> window;     ///< outside of it nothing of the step is begun
    std::string register_as;              ///< `steps.NAME` for later expressions; empty: none
    OutputSpec output;                    ///< what of it is registered
    std::optional<OnFailure> on_failure;  ///< nullopt: the runbook's
    std::vector<CallSpec> undo;           ///< takes it back, in this order; empty: the action's own
    bool no_undo = false;                 ///< `undo: none`: it needs none
    std::optional<CallSpec> verify;       ///< looks whether its effect is in place; changes nothing
    InDoubt in_doubt = InDoubt::verify;
    std::string point_of_no_return;  ///< why there is no way back after it; empty: there is
    SourceLocation where;
};

/// An invariant watched for the whole run.
struct GuardSpec {
    std::string name;  ///< leader_unchanged, postgres_not_restarted, disk_above, …
    Arguments with;
    SourceLocation where;
};

struct Runbook {
    std::string name;
    std::string summary;
    std::vector<InputSpec> inputs;
    std::vector<std::pair<std::string, Argument>> vars;  ///< each may use those before it
    std::vector<std::string> heals;                      ///< finding ids
    std::vector<GuardSpec> guards;
    std::vector<StepSpec> steps;
    std::vector<StepSpec>
        always;  ///< once nothing goes forward or back any more, whatever came of it
    std::optional<WindowSpec> window;  ///< outside of it nothing is changed
    std::vector<NotifySpec> notify;
    std::vector<std::string> allow_drift;  ///< facts that may move between a saved plan and its run
    OnFailure on_failure = OnFailure::stop;  ///< stop | rollback
    std::string path;
    std::string text;                          ///< as read, for the hash that a run pins
    std::map<std::string, std::string> parts;  ///< texts of the runbooks that it calls, by file
};

/// The parameters of `uses: runbook`, which is no action: it puts another runbook in as a block.
[[nodiscard]] const ActionSchema& runbook_call_schema();

/// A runbook's text, and the file that it is from.
struct RunbookText {
    std::string file;
    std::string text;
};

/// What the loader checks names against: the actions there are, the guards and the finding ids.
struct RunbookVocabulary {
    ActionCatalog actions;
    ActionCatalog guards;  ///< described the same way as actions
    std::vector<std::string> finding_ids;
    /// The text of a runbook that another one calls: by the name of a shipped one, or a path as
    /// written in the file `from`. Throws Error. Empty: nothing can be called.
    std::function<RunbookText(const std::string& name, const std::string& from)> find_text;
};

/// How many at once, as it is written: `2`, `50%` or `all`. nullopt: it is nothing of these.
[[nodiscard]] std::optional<Strategy::Batch> parse_batch(const std::string& text);

/// Every error of the text in one InputErrors, not only the first.
class InputErrors : public Error {
  public:
    explicit InputErrors(std::vector<InputError> errors);

    [[nodiscard]] const std::vector<InputError>& errors() const noexcept { return errors_; }

  private:
    std::vector<InputError> errors_;
};

/// Throws InputErrors. `only_ours` and `allowed_by` as of yaml::read_text().
[[nodiscard]] Runbook load_runbook(const std::string& path,
                                   const RunbookVocabulary& vocabulary,
                                   std::optional<FoundBy> only_ours = std::nullopt,
                                   const std::string& allowed_by = {});
[[nodiscard]] Runbook parse_runbook(const std::string& text,
                                    const std::string& file_name,
                                    const RunbookVocabulary& vocabulary);

/// The values of the inputs, given `--set name=value` texts. Throws UsageError naming each input
/// that is missing, unknown or of the wrong type, with the runbook's own description as hint.
[[nodiscard]] Value::Map read_inputs(const Runbook& runbook,
                                     const std::map<std::string, std::string>& given);

/// The same for a runbook that another one calls, from values: a text is read like one that was
/// given, anything else must be of the input's type. Throws InputError at `where`.
[[nodiscard]] Value::Map called_inputs(const Runbook& runbook,
                                       const Value::Map& given,
                                       const SourceLocation& where);

}  // namespace lockstep
