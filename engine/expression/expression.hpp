#pragma once

/// engine/expression/: the expressions of runbooks and of the knowledge, and texts with expressions
/// in them: lexer, parser, evaluator, values. It knows no facts and no runbook: the names that an
/// expression sees come with a Scope (engine/plan/binding.hpp makes it). Read this file first, then
/// value.hpp, expression_tree.hpp and expression_evaluator.cpp.

#include "base/error.hpp"
#include "engine/expression/value.hpp"

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

/// The expression language of runbooks: the syntax and semantics of CEL
/// (github.com/google/cel-spec) for a documented subset, with three outcomes: a value, unknown
/// until the run, or an error. Of `&&`, `||`, all() and any(), an operand that decides outweighs
/// unknown ones, and those outweigh errors; elsewhere errors outweigh unknown operands. Stricter
/// than CEL: `==` across kinds is an error, except against null and among numbers.
/// tests/engine/expression/cel_conformance_test.cpp says the rest.
namespace lockstep {

/// The names that an expression can see: `cluster`, `member`, `members`, `inputs`, `vars`, `item`,
/// …
using Scope = Value::Map;

/// It cannot be evaluated: undefined name, wrong type, division by zero, overflow.
struct EvaluationError {
    std::string message;
    std::string hint;
};

/// A value (never of kind unknown), or why it is not known yet, or what is wrong.
using Evaluation = std::variant<Value, Value::Unknown, EvaluationError>;

/// A value that keeps a condition from being true: `state is 'stopped'` of `n2`.
struct Reason {
    std::string of;  ///< name of the member, or of what else has one; empty: of nothing named
    std::string text;

    friend bool operator==(const Reason&, const Reason&) = default;
};

/// A parsed expression; immutable, cheap to copy, safe to evaluate from several threads.
class Expression {
  public:
    /// `where` is the place of the text's first character, for messages with file:line:column.
    /// Throws InputError. At most 4096 characters and 64 levels.
    [[nodiscard]] static Expression parse(std::string_view text, const SourceLocation& where);

    /// Lists and maps of the scope are passed on with the unknown values inside of them. Whatever
    /// the expression, it ends within a million steps and 64 MB, or in an error.
    [[nodiscard]] Evaluation evaluate(const Scope& scope) const;

    /// Of a condition that is not true: each part of it that is not, by the values that it reads.
    /// Secrets and long values are left out.
    [[nodiscard]] std::vector<Reason> why_not(const Scope& scope) const;

    [[nodiscard]] const std::string& text() const;
    [[nodiscard]] const SourceLocation& where() const;
    /// Every dotted path that it reads from the scope, as far as it is static: `member.wal.bytes`,
    /// `inputs.target`; of a comprehension the path of its range and of its body with the variable
    /// replaced by `RANGE[]`: `members[].patroni.running`.
    [[nodiscard]] const std::set<std::string>& reads() const;

    struct Node;  ///< the tree, known to expression.cpp alone

  private:
    std::shared_ptr<const Node> root_;
    std::shared_ptr<const std::set<std::string>> reads_;
    std::string text_;
    SourceLocation where_;
};

/// How a value is put into the text around it.
enum class Quoting {
    none,  ///< as it is
    /// As one quoted word, whatever it holds, and a list as so many words; `${{ x | raw }}` opts
    /// out. Inside of quotes, comments and here-documents of the shell it is an error: no quoting
    /// is safe.
    shell,
};

/// A text with `${{ expression }}` in it. A text that is one expression alone, without a blank
/// around it, keeps its type, unless it is quoted for the shell. What is unknown inside of a list
/// or map makes the text unknown, what is secret taints it; null has no text.
class Template {
  public:
    /// Throws InputError, also for an unclosed `${{`.
    [[nodiscard]] static Template parse(std::string_view text, const SourceLocation& where);

    [[nodiscard]] Evaluation render(const Scope& scope, Quoting quoting = Quoting::none) const;

    [[nodiscard]] bool is_constant() const;

    [[nodiscard]] const std::string& text() const { return text_; }

    [[nodiscard]] const SourceLocation& where() const { return where_; }

    [[nodiscard]] std::set<std::string> reads() const;

    /// Where each expression begins that `| raw` follows.
    [[nodiscard]] std::vector<SourceLocation> raw_places() const;

  private:
    struct Piece {
        std::string literal;  ///< used when there is no expression
        std::shared_ptr<const Expression> expression;
        bool raw = false;
    };

    std::vector<Piece> pieces_;
    std::string text_;
    SourceLocation where_;
};

}  // namespace lockstep
