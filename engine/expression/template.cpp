#include "base/shell_quote.hpp"
#include "engine/expression/expression.hpp"
#include "engine/expression/expression_lexer.hpp"
#include "engine/expression/expression_limits.hpp"
#include "engine/expression/template_shell.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace lockstep {

namespace {

constexpr std::string_view k_opening = "${{";
constexpr std::size_t k_longest_rendering = std::size_t{16} * 1024 * 1024;

/// Where an expression in a template ends, and whether `| raw` follows it.
struct Ending {
    std::size_t expression_end = 0;
    std::size_t after = 0;  ///< behind the `}}`
    bool raw = false;
};

// Token by token, not by searching for `}}`: strings and maps may hold it.
class EndingFinder {
  public:
    EndingFinder(std::string_view text, const SourceLocation& where, std::size_t opening)
        : lexer_(text, where, opening + k_opening.size()), opening_(opening) {}

    Ending find() {
        int depth = 0;
        while (true) {
            const Token token = next();
            if (depth == 0 && token.is("}")) {
                return closed(token);
            }
            if (depth == 0 && token.is("|")) {
                return filtered(token);
            }
            if (token.is("{") || token.is("(") || token.is("[")) {
                ++depth;
            } else if (token.is("}") || token.is(")") || token.is("]")) {
                --depth;
            }
        }
    }

  private:
    Token next() {
        Token token = lexer_.next();
        if (token.kind == Token::Kind::end) {
            lexer_.fail(opening_,
                        "the ${{ that starts here is not closed",
                        "Close it with }}; a text with ${{ in it is written ${{ '${{' }}.");
        }
        return token;
    }

    Ending closed(const Token& first_brace) {
        const Token second = next();
        if (!second.is("}") || second.begin != first_brace.end) {
            lexer_.fail(first_brace.begin, "expected }} here, found a single }");
        }
        return {.expression_end = first_brace.begin, .after = second.end};
    }

    Ending filtered(const Token& bar) {
        const Token name = next();
        if (!name.is_word("raw")) {
            lexer_.fail(name.begin,
                        "expected \"raw\" after |",
                        "There are no other filters; \"or\" is written ||, a default is "
                        "has(x.y) ? x.y : 'default'.");
        }
        Ending ending = closed(next());
        ending.expression_end = bar.begin;
        ending.raw = true;
        return ending;
    }

    ExpressionLexer lexer_;
    std::size_t opening_;
};

EvaluationError about_null(const Expression& expression) {
    return {excerpt(expression.text()) + " is null, which has no text",
            "Say what should stand there instead: x == null ? 'none' : x."};
}

// Lists become words, each quoted; everything else is one word.
std::optional<std::string> shell_text(const Value& value) {
    if (value.kind() == Value::Kind::null) {
        return std::nullopt;
    }
    if (value.kind() != Value::Kind::list) {
        return shell_quote(value.to_text());
    }
    std::string words;
    for (const Value& item : value.as_list()) {
        if (item.kind() == Value::Kind::null) {
            return std::nullopt;
        }
        words.append(words.empty() ? "" : " ").append(shell_quote(item.to_text()));
    }
    return words;
}

/// Puts the pieces together. Errors outweigh unknown values, so it goes on after an unknown one.
class Renderer {
  public:
    explicit Renderer(Quoting quoting) : shell_(quoting == Quoting::shell) {}

    std::optional<EvaluationError> add_literal(const std::string& literal) {
        context_.read(literal);
        return append(literal);
    }

    std::optional<EvaluationError> add(const Expression& expression,
                                       const Evaluation& evaluation,
                                       bool raw) {
        const bool quoted = shell_ && !raw;
        if (quoted && !context_lost_ && !context_.enclosure().empty()) {
            return refused(expression);
        }
        if (const auto* const error = std::get_if<EvaluationError>(&evaluation)) {
            return *error;
        }
        if (const auto* const unknown = std::get_if<Value::Unknown>(&evaluation)) {
            add_unknown(unknown->because, raw);
            return std::nullopt;
        }
        const auto& value = std::get<Value>(evaluation);
        Budget budget;
        const Content content = inspect(value, budget);
        tainted_ = tainted_ || content.tainted;
        if (content.unknown != nullptr) {
            add_unknown(content.unknown->unknown_because(), raw);
            return std::nullopt;
        }
        return add_value(expression, value, quoted);
    }

    Evaluation finish() && {
        if (unknown_) {
            return *std::move(unknown_);
        }
        return tainted_ ? Value::secret(std::move(text_)) : Value(std::move(text_));
    }

  private:
    std::optional<EvaluationError> add_value(const Expression& expression,
                                             const Value& value,
                                             bool quoted) {
        std::optional<std::string> text;
        if (quoted) {
            text = shell_text(value);
            context_.skip_word();
        } else if (value.kind() != Value::Kind::null) {
            text = value.to_text();
            context_.read(*text);
        }
        return text ? append(*text) : about_null(expression);
    }

    void add_unknown(const std::string& because, bool raw) {
        if (!unknown_) {
            unknown_ = Value::Unknown{because};
        }
        context_lost_ = context_lost_ || raw;  // it may open or close quotes
        context_.skip_word();
    }

    EvaluationError refused(const Expression& expression) const {
        return {"${{ " + excerpt(expression.text()) + " }} stands in " +
                    std::string(context_.enclosure()) + ", where a quoted value is not safe",
                "Values are quoted by themselves: take the quotes around it away, or put it into a "
                "variable first (name=${{ … }}) and use \"$name\"."};
    }

    std::optional<EvaluationError> append(std::string_view piece) {
        if (text_.size() + piece.size() > k_longest_rendering) {
            return EvaluationError{"the text becomes longer than 16 MiB", {}};
        }
        text_ += piece;
        return std::nullopt;
    }

    bool shell_;
    ShellContext context_;
    bool context_lost_ = false;
    std::string text_;
    bool tainted_ = false;
    std::optional<Value::Unknown> unknown_;
};

// A value that goes on as it is: what is unknown or secret in it must not be overlooked.
Evaluation whole(Evaluation evaluation) {
    const auto* const value = std::get_if<Value>(&evaluation);
    if (value == nullptr) {
        return evaluation;
    }
    Budget budget;
    const Content content = inspect(*value, budget);
    if (content.unknown != nullptr) {
        return Value::Unknown{content.unknown->unknown_because()};
    }
    return content.tainted ? value->with_taint() : *value;
}

}  // namespace

namespace {

/// What is written `{{ cluster.name }}` elsewhere (Ansible) would go into a command as it stands.
/// Only where a name of ours begins it: braces of other programs are theirs (docker's --format).
void refuse_without_dollar(std::string_view text,
                           std::size_t from,
                           std::size_t to,
                           const SourceLocation& where) {
    constexpr std::array<std::string_view, 9> k_roots{
        "cluster", "member", "members", "leader", "inputs", "vars", "steps", "run", "item"};
    const std::string_view literal = text.substr(0, to);
    for (std::size_t at = literal.find("{{", from); at != std::string_view::npos;
         at = literal.find("{{", at + 2)) {
        const std::size_t begin = std::min(literal.find_first_not_of(" \t", at + 2), to);
        const std::size_t end =
            std::min(literal.find_first_not_of("abcdefghijklmnopqrstuvwxyz", begin), to);
        const std::size_t closing = literal.find("}}", end);
        const auto* const root = std::ranges::find(k_roots, literal.substr(begin, end - begin));
        if (root != k_roots.end() && closing != std::string_view::npos &&
            std::string_view(" .[}|").find(literal[end]) != std::string_view::npos) {
            const std::string inside(literal.substr(at, closing + 2 - at));
            ExpressionLexer(text, where)
                .fail(at,
                      inside + " is put in as it stands: an expression begins with ${{",
                      "Write $" + inside + "; braces that are meant are written ${{ '{{' }}.");
        }
    }
}

}  // namespace

Template Template::parse(std::string_view text, const SourceLocation& where) {
    Template result;
    result.text_ = text;
    result.where_ = where;
    std::size_t at = 0;
    while (at < text.size()) {
        const std::size_t opening = std::min(text.find(k_opening, at), text.size());
        refuse_without_dollar(text, at, opening, where);
        if (opening > at) {
            result.pieces_.push_back({std::string(text.substr(at, opening - at)), nullptr, false});
        }
        if (opening == text.size()) {
            break;
        }
        const Ending ending = EndingFinder(text, where, opening).find();
        const std::size_t begin = std::min(
            text.find_first_not_of(" \t\r\n", opening + k_opening.size()), ending.expression_end);
        const std::size_t length =
            text.substr(begin, ending.expression_end - begin).find_last_not_of(" \t\r\n") + 1;
        result.pieces_.push_back({{},
                                  std::make_shared<const Expression>(Expression::parse(
                                      text.substr(begin, length), location_in(text, begin, where))),
                                  ending.raw});
        at = ending.after;
    }
    return result;
}

Evaluation Template::render(const Scope& scope, Quoting quoting) const {
    try {
        if (quoting == Quoting::none && pieces_.size() == 1 && pieces_.front().expression) {
            return whole(pieces_.front().expression->evaluate(scope));
        }
        Renderer renderer(quoting);
        for (const Piece& piece : pieces_) {
            const auto error =
                piece.expression
                    ? renderer.add(*piece.expression, piece.expression->evaluate(scope), piece.raw)
                    : renderer.add_literal(piece.literal);
            if (error) {
                return *error;
            }
        }
        return std::move(renderer).finish();
    } catch (const BudgetExceeded& exceeded) {
        return EvaluationError{exceeded.message, {}};
    } catch (const Error& error) {  // of shell_quote
        return EvaluationError{error.what(), error.hint()};
    }
}

bool Template::is_constant() const {
    return pieces_.empty() || (pieces_.size() == 1 && !pieces_.front().expression);
}

std::vector<SourceLocation> Template::raw_places() const {
    std::vector<SourceLocation> places;
    for (const Piece& piece : pieces_) {
        if (piece.expression && piece.raw) {
            places.push_back(piece.expression->where());
        }
    }
    return places;
}

std::set<std::string> Template::reads() const {
    std::set<std::string> all;
    for (const Piece& piece : pieces_) {
        if (piece.expression) {
            all.insert(piece.expression->reads().begin(), piece.expression->reads().end());
        }
    }
    return all;
}

}  // namespace lockstep
