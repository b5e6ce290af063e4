#pragma once

#include "base/yaml.hpp"
#include "engine/runbook/runbook.hpp"

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

/// The parts of the runbook loader. Errors are collected, so that one look at the message shows
/// everything there is to mend; what could not be read is left at its default.
namespace lockstep::runbook_reading {

class Problems {
  public:
    /// `rule` is what InputError::rule() will say; one that is new has a row in rules.cpp.
    void add(const SourceLocation& where,
             const std::string& message,
             std::string hint = {},
             std::string rule = "runbook.value") {
        keep({where, message, std::move(hint), std::move(rule)});
    }

    void keep(InputError error) {
        if (!full()) {
            errors_.push_back(std::move(error));
        } else {
            ++left_out_;
        }
    }

    /// Runs `act`, and keeps the InputError that it may throw, as one of a runbook.
    template <class Act>
    void attempt(Act act) {
        try {
            act();
        } catch (const InputError& error) {
            keep(error.of("runbook"));
        }
    }

    [[nodiscard]] std::size_t count() const { return errors_.size() + left_out_; }

    /// Whether what is added is only counted from here on.
    [[nodiscard]] bool full() const { return errors_.size() >= k_most; }

    /// Throws InputErrors where there are any; `text` is that of the file.
    void throw_if_any(const std::string& text = {});

  private:
    static constexpr std::size_t k_most = 1000;  ///< nobody mends more of a file in one go

    std::vector<InputError> errors_;
    std::size_t left_out_ = 0;
};

/// Names that were declared so far, in their order.
class Names {
  public:
    void push_back(const std::string& name) {
        if (known_.insert(name).second) {
            all_.push_back(name);
        }
    }

    [[nodiscard]] bool contains(const std::string& name) const { return known_.contains(name); }

    [[nodiscard]] const std::vector<std::string>& all() const { return all_; }

  private:
    std::vector<std::string> all_;
    std::set<std::string> known_;
};

/// Which of the names that depend on the place an expression may use there. `cluster`, `members`,
/// `inputs`, `vars` and `run` are visible everywhere.
struct Visible {
    bool member = false;
    bool item = false;
    bool steps = false;
    bool result = false;  ///< the step's own output: in `until` and `register.select`
};

/// What is known while a runbook is read, from top to bottom.
struct Reading {
    const RunbookVocabulary& vocabulary;
    Problems problems;
    Names inputs;
    Names vars;
    Names registered;                ///< by the steps so far
    std::vector<std::string> files;  ///< being read: the runbook, and those that led to it
    std::vector<std::shared_ptr<const Runbook>> called;  ///< by its steps, in their order
};

/// A runbook that another one calls. Throws InputErrors.
[[nodiscard]] Runbook parse_called(const RunbookText& text,
                                   const RunbookVocabulary& vocabulary,
                                   std::vector<std::string> files);

[[nodiscard]] std::vector<std::string> names_of(const ActionCatalog& catalog);

/// `[a-z]` and then letters, digits and _, with `dashes` also -.
[[nodiscard]] bool is_name(std::string_view text, bool dashes);

/// False, and a problem, when the node is no map.
bool require_map(Reading& reading, const yaml::Node& node, const std::string& what);

/// Adds a problem for each key that the language does not have at this place (language.hpp), and
/// for those that only a later version has. False when the node is no map: then the problem is
/// that.
bool check_keys(Reading& reading,
                const yaml::Node& node,
                std::string_view place,
                const std::string& what);

/// A text that is one of `names`; else a problem that calls it `what`, and nullopt.
[[nodiscard]] std::optional<std::string> read_one_of(Reading& reading,
                                                     const yaml::Node& node,
                                                     const std::string& what,
                                                     const std::vector<std::string>& names);

/// A length of time, longer than nothing unless `zero_allowed`.
[[nodiscard]] std::optional<std::chrono::milliseconds> read_duration(Reading& reading,
                                                                     const yaml::Node& node,
                                                                     const std::string& what,
                                                                     bool zero_allowed = false);

/// An integer in a range, else a problem and `otherwise`.
struct IntegerRange {
    long long least = 0;
    long long most = 0;
};

[[nodiscard]] int read_integer(Reading& reading,
                               const yaml::Node& node,
                               const std::string& what,
                               IntegerRange range,
                               int otherwise);

/// A bare expression, without `${{ }}`.
[[nodiscard]] std::optional<Expression> read_expression(Reading& reading,
                                                        const yaml::Node& node,
                                                        const std::string& what,
                                                        Visible visible);

/// Where a path stands in the text of an expression, as a whole word; else where the text begins.
[[nodiscard]] SourceLocation find_path(const std::string& text,
                                       const std::string& path,
                                       const SourceLocation& where);

/// Adds a problem for each name that an expression with these reads() may not use at this place.
void check_reads(Reading& reading,
                 const std::set<std::string>& reads,
                 const std::string& text,
                 const SourceLocation& where,
                 Visible visible);

/// Where `with:` belongs, for messages and for what is missing in it.
struct Owner {
    std::string what;  ///< `step "drain"`, `guard disk_above`
    SourceLocation where;
    bool constants_only = false;
};

/// `with` may be null: nothing was given. Checks names, kinds, required ones and one_of.
[[nodiscard]] Arguments read_arguments(Reading& reading,
                                       const ActionSchema& schema,
                                       const yaml::Node* with,
                                       const Owner& owner,
                                       Visible visible);

/// Any YAML, with expressions in its texts.
[[nodiscard]] std::optional<Argument> read_any(Reading& reading,
                                               const yaml::Node& node,
                                               Visible visible);

/// A text that is shown as it stands. An expression in it would be shown, too, and is an error.
[[nodiscard]] std::string read_label(Reading& reading, const yaml::Node& node, const char* what);

/// `steps`, and `always`: what is done at the end whatever came of the rest, which has no way back
/// and covers nothing; by the runbook's `defaults`.
void read_steps(Reading& reading, const yaml::Node& root, Runbook& runbook);
/// `uses: runbook`: the other runbook's steps become those of `step`.
void read_call(Reading& reading,
               const yaml::Node& node,
               const std::string& label,
               Visible visible,
               StepSpec& step);
[[nodiscard]] ApprovalSpec read_approval(Reading& reading, const yaml::Node& node);
/// `register`: a name, or a map with `name`, `as` and `select`.
void read_register(Reading& reading, const yaml::Node& node, Visible visible, StepSpec& step);
[[nodiscard]] std::vector<NotifySpec> read_notify(Reading& reading, const yaml::Node& node);
/// A list of texts, or one text for a list of one; each one of `words`, unless there are none.
[[nodiscard]] std::vector<std::string> read_texts(Reading& reading,
                                                  const yaml::Node& node,
                                                  const std::string& what,
                                                  const std::vector<std::string>& words = {});
/// Whether a call changes nothing, as far as a runbook tells.
enum class Looks { yes, no, depends };

[[nodiscard]] Looks looks_only(const ActionSchema& schema, const Arguments& with);

/// `undo`, `verify`, `in_doubt` and `point_of_no_return` of a step whose action (null: unknown) and
/// arguments are read. Their expressions see what the step sees.
void read_recovery(Reading& reading,
                   const yaml::Node& node,
                   const ActionSchema* schema,
                   const std::string& label,
                   Visible visible,
                   StepSpec& step);
[[nodiscard]] Strategy read_strategy(Reading& reading, const yaml::Node& node);
/// What the map does not say stays as in `retry`.
[[nodiscard]] Retry read_retry(Reading& reading, const yaml::Node& node, Retry retry);
/// One of the words in `allowed`.
[[nodiscard]] OnFailure read_on_failure(Reading& reading,
                                        const yaml::Node& node,
                                        const std::vector<std::string>& allowed);

/// A value that an input does not take: `what()` completes "input target ".
class UnfitValue : public Error {
    using Error::Error;
};

/// The value of an input from a text. Throws UnfitValue.
[[nodiscard]] Value read_input_value(const InputSpec& input, const std::string& text);
/// Throws UnfitValue unless the input's pattern, if any, matches the whole text.
void check_input_pattern(const InputSpec& input, const std::string& text);

[[nodiscard]] std::vector<InputSpec> read_input_specs(Reading& reading, const yaml::Node& node);

}  // namespace lockstep::runbook_reading
