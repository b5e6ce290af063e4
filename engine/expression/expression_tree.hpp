#pragma once

#include "engine/expression/expression.hpp"
#include "engine/expression/expression_functions.hpp"

#include <cstddef>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace lockstep {

using NodePtr = std::unique_ptr<Expression::Node>;

struct LiteralNode {
    Value value;
};

struct NameNode {
    std::string name;
};

struct ListNode {
    std::vector<NodePtr> items;
};

struct MapNode {
    std::vector<std::pair<NodePtr, NodePtr>> entries;
};

/// `base.name`, or `has(base.name)`.
struct FieldNode {
    NodePtr base;
    std::string name;
    bool only_asked = false;
};

struct IndexNode {
    NodePtr base;
    NodePtr index;
};

struct NotNode {
    NodePtr operand;
};

struct NegateNode {
    NodePtr operand;
};

enum class BinaryOperator {
    multiply,
    divide,
    remainder,
    add,
    subtract,
    less,
    less_equal,
    greater,
    greater_equal,
    equal,
    not_equal,
    in,
};

struct BinaryNode {
    BinaryOperator op;
    NodePtr left;
    NodePtr right;
};

/// `a && b && c` or `a || b || c`: one node, however many operands.
struct LogicNode {
    bool conjunction;
    std::vector<NodePtr> operands;
};

struct ConditionalNode {
    NodePtr condition;
    NodePtr then;
    NodePtr otherwise;
};

struct CallNode {
    const Function* function;
    std::vector<NodePtr> arguments;  ///< the receiver of a method first
};

enum class Macro { all, any, exists_one, map, filter };

/// `range.macro(variable, body)`, or `range.map(variable, condition, body)`.
struct ComprehensionNode {
    Macro macro;
    NodePtr range;
    std::string variable;
    NodePtr condition;  ///< may be null
    NodePtr body;
};

using NodeContent = std::variant<LiteralNode,
                                 NameNode,
                                 ListNode,
                                 MapNode,
                                 FieldNode,
                                 IndexNode,
                                 NotNode,
                                 NegateNode,
                                 BinaryNode,
                                 LogicNode,
                                 ConditionalNode,
                                 CallNode,
                                 ComprehensionNode>;

struct Expression::Node {
    NodeContent content;
    std::size_t begin = 0;  ///< offsets in the expression's text
    std::size_t end = 0;
    int height = 1;  ///< levels of nodes, this one included
};

/// The greatest height of the node's children; 0 without any.
[[nodiscard]] int height_below(const Expression::Node& node);

/// What Expression::reads() promises.
[[nodiscard]] std::set<std::string> collect_reads(const Expression::Node& root);

/// Visitors of Node::content from lambdas.
template <class... Lambdas>
struct Overloaded : Lambdas... {
    using Lambdas::operator()...;
};
template <class... Lambdas>
Overloaded(Lambdas...) -> Overloaded<Lambdas...>;

}  // namespace lockstep
