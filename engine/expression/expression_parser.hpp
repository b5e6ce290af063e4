#pragma once

#include "engine/expression/expression_lexer.hpp"
#include "engine/expression/expression_tree.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

/// Recursive descent over the grammar of cel-spec, langdef.md, "Syntax", with `not`, `and`, `or` as
/// other spellings of `!`, `&&`, `||`. Functions with constant arguments are applied while parsing,
/// so that `bytes('16 apples')` is an error of the file and not of the run.
class ExpressionParser {
  public:
    ExpressionParser(std::string_view text, const SourceLocation& where);

    /// Throws InputError.
    [[nodiscard]] NodePtr parse();

  private:
    class Level;  ///< guards the recursion

    [[nodiscard]] NodePtr parse_conditional();
    [[nodiscard]] NodePtr parse_logic(bool conjunction);
    [[nodiscard]] NodePtr parse_relation();
    [[nodiscard]] NodePtr parse_sum();
    [[nodiscard]] NodePtr parse_product();
    [[nodiscard]] NodePtr parse_unary();
    [[nodiscard]] NodePtr parse_negation();
    [[nodiscard]] NodePtr parse_member();
    [[nodiscard]] NodePtr parse_selection(NodePtr base);
    [[nodiscard]] NodePtr parse_primary();
    [[nodiscard]] NodePtr parse_word();
    [[nodiscard]] NodePtr parse_list();
    [[nodiscard]] NodePtr parse_map();
    // The four below: the opening parenthesis has been read.
    [[nodiscard]] NodePtr parse_function(const Token& name);
    [[nodiscard]] NodePtr parse_method(const Token& name, NodePtr receiver);
    [[nodiscard]] NodePtr parse_has(const Token& name);
    [[nodiscard]] NodePtr parse_macro(Macro macro, const Token& name, NodePtr range);
    [[nodiscard]] std::vector<NodePtr> parse_arguments(std::vector<NodePtr> arguments = {});
    [[nodiscard]] NodePtr integer_literal(const Token& token, bool negative, std::size_t begin);
    [[nodiscard]] NodePtr make_call(const Token& name,
                                    const Function& function,
                                    std::vector<NodePtr> arguments) const;

    /// Sets the height and the place, from `begin` to the end of the last token taken.
    [[nodiscard]] NodePtr make(NodeContent content, std::size_t begin) const;
    [[nodiscard]] std::optional<BinaryOperator> relation() const;
    [[nodiscard]] bool at_logic(bool conjunction) const;
    Token take();
    bool take_if(std::string_view symbol);
    void expect(std::string_view symbol, std::string_view after);
    [[noreturn]] void fail_unexpected() const;

    std::string_view text_;
    ExpressionLexer lexer_;
    Token token_;  ///< the next one
    std::size_t last_end_ = 0;
    int level_ = 0;
};

}  // namespace lockstep
