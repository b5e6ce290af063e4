#include "engine/expression/expression_tree.hpp"

#include <optional>
#include <utility>

namespace lockstep {

namespace {

// The path that a node stands for, if it is static. Empty: a value that is not in the scope.
using Path = std::optional<std::string>;

/// Walks the tree once. path_of() also collects what is read inside of what it walks through;
/// the path itself counts as read when nothing longer can be made of it.
class ReadsCollector {
  public:
    void collect(const Expression::Node& node) {
        if (Path path = path_of(node)) {
            reads_.insert(*std::move(path));
        }
    }

    std::set<std::string> take() { return std::move(reads_); }

  private:
    Path path_of(const Expression::Node& node) {
        return std::visit([this](const auto& content) { return visit(content); }, node.content);
    }

    Path visit(const LiteralNode& /*literal*/) { return std::nullopt; }

    Path visit(const NameNode& name) {
        for (auto variable = variables_.rbegin(); variable != variables_.rend(); ++variable) {
            if (variable->first == name.name) {
                return variable->second;
            }
        }
        return name.name;
    }

    Path visit(const ListNode& list) {
        for (const NodePtr& item : list.items) {
            collect(*item);
        }
        return std::nullopt;
    }

    Path visit(const MapNode& map) {
        for (const auto& [key, value] : map.entries) {
            collect(*key);
            collect(*value);
        }
        return std::nullopt;
    }

    Path visit(const FieldNode& field) {
        Path base = path_of(*field.base);
        if (base) {
            base->append(".").append(field.name);
        }
        return base;
    }

    Path visit(const IndexNode& index) {
        Path base = path_of(*index.base);
        const auto* const literal = std::get_if<LiteralNode>(&index.index->content);
        if (literal == nullptr) {
            collect(*index.index);
        } else if (base && literal->value.kind() == Value::Kind::string) {
            return base->append(".").append(literal->value.as_string());
        } else if (base && literal->value.kind() == Value::Kind::integer) {
            return base->append("[]");
        }
        if (base) {
            reads_.insert(*std::move(base));
        }
        return std::nullopt;
    }

    Path visit(const NotNode& node) { return only_collect(*node.operand); }

    Path visit(const NegateNode& node) { return only_collect(*node.operand); }

    Path visit(const BinaryNode& binary) {
        collect(*binary.left);
        return only_collect(*binary.right);
    }

    Path visit(const LogicNode& logic) {
        for (const NodePtr& operand : logic.operands) {
            collect(*operand);
        }
        return std::nullopt;
    }

    Path visit(const ConditionalNode& conditional) {
        collect(*conditional.condition);
        collect(*conditional.then);
        return only_collect(*conditional.otherwise);
    }

    Path visit(const CallNode& call) {
        for (const NodePtr& argument : call.arguments) {
            collect(*argument);
        }
        return std::nullopt;
    }

    Path visit(const ComprehensionNode& node) {
        const Path range = path_of(*node.range);
        if (range) {
            reads_.insert(*range);
        }
        variables_.emplace_back(node.variable, range ? Path(*range + "[]") : std::nullopt);
        if (node.condition) {
            collect(*node.condition);
        }
        collect(*node.body);
        variables_.pop_back();
        // What filter() leaves over are elements of its range.
        return node.macro == Macro::filter ? range : std::nullopt;
    }

    Path only_collect(const Expression::Node& node) {
        collect(node);
        return std::nullopt;
    }

    std::set<std::string> reads_;
    std::vector<std::pair<std::string_view, Path>> variables_;
};

}  // namespace

std::set<std::string> collect_reads(const Expression::Node& root) {
    ReadsCollector collector;
    collector.collect(root);
    return collector.take();
}

}  // namespace lockstep
