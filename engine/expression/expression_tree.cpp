#include "engine/expression/expression_tree.hpp"

#include <algorithm>

namespace lockstep {

namespace {

int height_of(const NodePtr& node) {
    return node ? node->height : 0;
}

int height_of(const std::vector<NodePtr>& nodes) {
    int height = 0;
    for (const NodePtr& node : nodes) {
        height = std::max(height, height_of(node));
    }
    return height;
}

int height_of(const std::vector<std::pair<NodePtr, NodePtr>>& entries) {
    int height = 0;
    for (const auto& [key, value] : entries) {
        height = std::max({height, height_of(key), height_of(value)});
    }
    return height;
}

}  // namespace

int height_below(const Expression::Node& node) {
    return std::visit(
        Overloaded{
            [](const LiteralNode&) { return 0; },
            [](const NameNode&) { return 0; },
            [](const ListNode& n) { return height_of(n.items); },
            [](const MapNode& n) { return height_of(n.entries); },
            [](const FieldNode& n) { return height_of(n.base); },
            [](const IndexNode& n) { return std::max(height_of(n.base), height_of(n.index)); },
            [](const NotNode& n) { return height_of(n.operand); },
            [](const NegateNode& n) { return height_of(n.operand); },
            [](const BinaryNode& n) { return std::max(height_of(n.left), height_of(n.right)); },
            [](const LogicNode& n) { return height_of(n.operands); },
            [](const ConditionalNode& n) {
                return std::max(
                    {height_of(n.condition), height_of(n.then), height_of(n.otherwise)});
            },
            [](const CallNode& n) { return height_of(n.arguments); },
            [](const ComprehensionNode& n) {
                return std::max({height_of(n.range), height_of(n.condition), height_of(n.body)});
            }},
        node.content);
}

}  // namespace lockstep
