#include "engine/expression/expression_parser.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

namespace lockstep {

namespace {

// cel-spec, langdef.md, "Syntax": RESERVED and KEYWORD, and our three spellings of operators.
constexpr std::array<std::string_view, 24> k_reserved = {
    "as",     "break", "const", "continue", "else",      "for",    "function", "if",
    "import", "let",   "loop",  "package",  "namespace", "return", "var",      "void",
    "while",  "in",    "true",  "false",    "null",      "and",    "or",       "not"};

constexpr std::array<std::string_view, 4> k_keywords = {"in", "true", "false", "null"};

template <std::size_t n>
bool is_one_of(const std::array<std::string_view, n>& words, std::string_view word) {
    return std::ranges::find(words, word) != words.end();
}

std::string describe(const Token& token) {
    switch (token.kind) {
        case Token::Kind::end:
            return "the end of the expression";
        case Token::Kind::word:
            return "\"" + token.text + "\"";
        case Token::Kind::integer:
        case Token::Kind::real:
            return "a number";
        case Token::Kind::string:
            return "a string";
        case Token::Kind::symbol:
            break;
    }
    return "'" + token.text + "'";
}

const char* k_too_deep = "the expression is nested more than 64 levels deep";
static_assert(k_deepest_expression == 64);

}  // namespace

/// One level of the recursion: parentheses make no node, but they use the stack as well.
class ExpressionParser::Level {
  public:
    explicit Level(ExpressionParser& parser) : parser_(parser) {
        if (++parser_.level_ > k_deepest_expression) {
            parser_.lexer_.fail(parser_.token_.begin, k_too_deep);
        }
    }

    ~Level() { --parser_.level_; }

    Level(const Level&) = delete;
    Level(Level&&) = delete;
    Level& operator=(const Level&) = delete;
    Level& operator=(Level&&) = delete;

  private:
    ExpressionParser& parser_;
};

ExpressionParser::ExpressionParser(std::string_view text, const SourceLocation& where)
    : text_(text), lexer_(text, where) {
    if (text.size() > k_longest_expression) {
        lexer_.fail(0, "the expression is longer than 4096 characters");
    }
    static_assert(k_longest_expression == 4096);
    token_ = lexer_.next();
}

NodePtr ExpressionParser::parse() {
    if (token_.kind == Token::Kind::end) {
        lexer_.fail(0, "the expression is empty");
    }
    NodePtr root = parse_conditional();
    if (token_.kind != Token::Kind::end) {
        fail_unexpected();
    }
    return root;
}

NodePtr ExpressionParser::make(NodeContent content, std::size_t begin) const {
    auto node = std::make_unique<Expression::Node>();
    node->content = std::move(content);
    node->begin = begin;
    node->end = last_end_;
    node->height = 1 + height_below(*node);
    if (node->height > k_deepest_expression) {
        lexer_.fail(begin, k_too_deep);
    }
    return node;
}

Token ExpressionParser::take() {
    last_end_ = token_.end;
    return std::exchange(token_, lexer_.next());
}

bool ExpressionParser::take_if(std::string_view symbol) {
    if (!token_.is(symbol)) {
        return false;
    }
    take();
    return true;
}

void ExpressionParser::expect(std::string_view symbol, std::string_view after) {
    if (!take_if(symbol)) {
        lexer_.fail(token_.begin,
                    "expected '" + std::string(symbol) + "' after " + std::string(after) +
                        ", found " + describe(token_));
    }
}

void ExpressionParser::fail_unexpected() const {
    std::string hint;
    if (token_.is_word("not")) {
        hint = "\"Not in\" is written not (x in list).";
    } else if (token_.is("|")) {
        hint = "\"Or\" is written || or or.";
    }
    lexer_.fail(token_.begin, "unexpected " + describe(token_), std::move(hint));
}

// Expr = ConditionalOr ["?" ConditionalOr ":" Expr]
NodePtr ExpressionParser::parse_conditional() {
    const Level level(*this);
    const std::size_t begin = token_.begin;
    NodePtr condition = parse_logic(false);
    if (!take_if("?")) {
        return condition;
    }
    NodePtr then = parse_logic(false);
    expect(":", "the first branch of ? :");
    NodePtr otherwise = parse_conditional();
    return make(ConditionalNode{std::move(condition), std::move(then), std::move(otherwise)},
                begin);
}

bool ExpressionParser::at_logic(bool conjunction) const {
    return conjunction ? token_.is("&&") || token_.is_word("and")
                       : token_.is("||") || token_.is_word("or");
}

NodePtr ExpressionParser::parse_logic(bool conjunction) {
    const std::size_t begin = token_.begin;
    const auto operand = [&] { return conjunction ? parse_relation() : parse_logic(true); };
    NodePtr first = operand();
    if (!at_logic(conjunction)) {
        return first;
    }
    LogicNode logic{conjunction, {}};
    logic.operands.push_back(std::move(first));
    while (at_logic(conjunction)) {
        take();
        logic.operands.push_back(operand());
    }
    return make(std::move(logic), begin);
}

std::optional<BinaryOperator> ExpressionParser::relation() const {
    constexpr std::array<std::pair<std::string_view, BinaryOperator>, 6> k_relations = {
        {{"<", BinaryOperator::less},
         {"<=", BinaryOperator::less_equal},
         {">", BinaryOperator::greater},
         {">=", BinaryOperator::greater_equal},
         {"==", BinaryOperator::equal},
         {"!=", BinaryOperator::not_equal}}};
    if (token_.is_word("in")) {
        return BinaryOperator::in;
    }
    for (const auto& [symbol, op] : k_relations) {
        if (token_.is(symbol)) {
            return op;
        }
    }
    return std::nullopt;
}

NodePtr ExpressionParser::parse_relation() {
    const std::size_t begin = token_.begin;
    NodePtr left = parse_sum();
    while (const auto op = relation()) {
        take();
        NodePtr right = parse_sum();
        left = make(BinaryNode{*op, std::move(left), std::move(right)}, begin);
    }
    return left;
}

NodePtr ExpressionParser::parse_sum() {
    const std::size_t begin = token_.begin;
    NodePtr left = parse_product();
    while (token_.is("+") || token_.is("-")) {
        const auto op = take().is("+") ? BinaryOperator::add : BinaryOperator::subtract;
        NodePtr right = parse_product();
        left = make(BinaryNode{op, std::move(left), std::move(right)}, begin);
    }
    return left;
}

NodePtr ExpressionParser::parse_product() {
    const std::size_t begin = token_.begin;
    NodePtr left = parse_unary();
    while (token_.is("*") || token_.is("/") || token_.is("%")) {
        const Token symbol = take();
        BinaryOperator op = BinaryOperator::multiply;
        if (!symbol.is("*")) {
            op = symbol.is("/") ? BinaryOperator::divide : BinaryOperator::remainder;
        }
        NodePtr right = parse_unary();
        left = make(BinaryNode{op, std::move(left), std::move(right)}, begin);
    }
    return left;
}

// Unary = Member | "!" {"!"} Member | "-" {"-"} Member
NodePtr ExpressionParser::parse_unary() {
    std::vector<std::size_t> begins;
    while (token_.is("!") || token_.is_word("not")) {
        begins.push_back(take().begin);
    }
    NodePtr operand = begins.empty() && token_.is("-") ? parse_negation() : parse_member();
    for (; !begins.empty(); begins.pop_back()) {
        operand = make(NotNode{std::move(operand)}, begins.back());
    }
    return operand;
}

NodePtr ExpressionParser::parse_negation() {
    std::vector<std::size_t> begins;
    while (token_.is("-")) {
        begins.push_back(take().begin);
    }
    NodePtr operand;
    if (token_.kind == Token::Kind::integer) {
        // The minus belongs to the literal: the smallest int has no positive twin.
        operand = integer_literal(take(), true, begins.back());
        begins.pop_back();
    } else {
        operand = parse_member();
    }
    for (; !begins.empty(); begins.pop_back()) {
        operand = make(NegateNode{std::move(operand)}, begins.back());
    }
    return operand;
}

NodePtr ExpressionParser::integer_literal(const Token& token, bool negative, std::size_t begin) {
    const std::uint64_t largest = std::numeric_limits<std::int64_t>::max();
    if (token.magnitude > largest + (negative ? 1 : 0)) {
        lexer_.fail(token.begin, "the number is too large");
    }
    // Negated without a sign: two's complement is how C++20 converts.
    const std::uint64_t bits = negative ? ~token.magnitude + 1 : token.magnitude;
    return make(LiteralNode{Value(static_cast<std::int64_t>(bits))}, begin);
}

NodePtr ExpressionParser::parse_member() {
    const std::size_t begin = token_.begin;
    NodePtr base = parse_primary();
    while (true) {
        if (take_if(".")) {
            base = parse_selection(std::move(base));
        } else if (take_if("[")) {
            NodePtr index = parse_conditional();
            expect("]", "an index");
            base = make(IndexNode{std::move(base), std::move(index)}, begin);
        } else {
            return base;
        }
    }
}

NodePtr ExpressionParser::parse_selection(NodePtr base) {
    if (token_.kind != Token::Kind::word || is_one_of(k_keywords, token_.text)) {
        lexer_.fail(token_.begin,
                    "expected a field's name after '.', found " + describe(token_),
                    token_.kind == Token::Kind::word ? "Write ['" + token_.text + "']." : "");
    }
    const std::size_t begin = base->begin;
    const Token word = take();
    if (!take_if("(")) {
        return make(FieldNode{std::move(base), word.text}, begin);
    }
    return parse_method(word, std::move(base));
}

NodePtr ExpressionParser::parse_primary() {
    const std::size_t begin = token_.begin;
    switch (token_.kind) {
        case Token::Kind::word:
            return parse_word();
        case Token::Kind::integer:
            return integer_literal(take(), false, begin);
        case Token::Kind::real:
            return make(LiteralNode{Value(take().real)}, begin);
        case Token::Kind::string:
            return make(LiteralNode{Value(take().text)}, begin);
        case Token::Kind::symbol:
            break;
        case Token::Kind::end:
            fail_unexpected();
    }
    if (take_if("(")) {
        NodePtr inner = parse_conditional();
        expect(")", "an expression in parentheses");
        return inner;
    }
    if (token_.is("[")) {
        return parse_list();
    }
    if (token_.is("{")) {
        return parse_map();
    }
    fail_unexpected();
}

NodePtr ExpressionParser::parse_word() {
    const Token word = take();
    if (word.text == "true" || word.text == "false") {
        return make(LiteralNode{Value(word.text == "true")}, word.begin);
    }
    if (word.text == "null") {
        return make(LiteralNode{Value()}, word.begin);
    }
    if (is_one_of(k_reserved, word.text)) {
        lexer_.fail(word.begin, "unexpected \"" + word.text + "\", which is a reserved word");
    }
    if (!take_if("(")) {
        return make(NameNode{word.text}, word.begin);
    }
    return parse_function(word);
}

NodePtr ExpressionParser::parse_list() {
    const std::size_t begin = take().begin;
    ListNode list;
    while (!token_.is("]")) {
        list.items.push_back(parse_conditional());
        if (!take_if(",")) {
            break;
        }
    }
    expect("]", "the elements of a list");
    return make(std::move(list), begin);
}

NodePtr ExpressionParser::parse_map() {
    const std::size_t begin = take().begin;
    MapNode map;
    while (!token_.is("}")) {
        NodePtr key = parse_conditional();
        expect(":", "the key of a map");
        NodePtr value = parse_conditional();
        map.entries.emplace_back(std::move(key), std::move(value));
        if (!take_if(",")) {
            break;
        }
    }
    expect("}", "the entries of a map");
    return make(std::move(map), begin);
}

}  // namespace lockstep
