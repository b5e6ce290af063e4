#include "base/yaml_reader.hpp"

#include <utility>

namespace lockstep::yaml {

/// A text, or a list or map in brackets, that stands in brackets.
Node Reader::flow_node(long parent) {
    Node node = begin_text(parent, true);
    if (!node.is(Node::Kind::scalar) || !node.plain) {
        return node;
    }
    more_plain_lines(node.text, parent, true);
    return is_null(node.text) ? nothing(node.where) : node;
}

Node Reader::flow_collection(long parent) {
    return here() == '[' ? flow_list(parent) : flow_map(parent);
}

Node Reader::flow_list(long parent) {
    const std::size_t begin = pos_;
    Node list = open(Node::Kind::list, begin);
    ++pos_;
    flow_skip(parent, begin);
    while (here() != ']') {
        list.items.push_back(flow_item(parent, begin));
        if (!flow_goes_on(parent, begin, ']')) {
            break;
        }
    }
    ++pos_;
    --depth_;
    return list;
}

Node Reader::flow_map(long parent) {
    const std::size_t begin = pos_;
    OpenMap map{open(Node::Kind::map, begin), begin, {}};
    ++pos_;
    flow_skip(parent, begin);
    while (here() != '}') {
        flow_entry(map, parent, begin);
        if (!flow_goes_on(parent, begin, '}')) {
            break;
        }
    }
    ++pos_;
    --depth_;
    return std::move(map.node);
}

/// An item of a list: a value, or a pair, which is a map of one key.
Node Reader::flow_item(long parent, std::size_t open_bracket) {
    const std::size_t begin = pos_;
    const std::size_t line = line_.begin;
    if (is_indicator(pos_, '?', true) || is_indicator(pos_, ':', true)) {
        OpenMap pair{open(Node::Kind::map, begin), begin, {}};
        flow_entry(pair, parent, open_bracket);
        --depth_;
        return std::move(pair.node);
    }
    const bool may_touch = here() == '"' || here() == '\'' || here() == '[' || here() == '{';
    Node node = flow_node(parent);
    if (line_.begin != line) {
        return node;  // the key of a pair stands on one line; a colon is refused where it stands
    }
    skip_blanks();
    if (!at_flow_colon(may_touch)) {
        return node;
    }
    OpenMap pair{open(Node::Kind::map, begin), begin, {}};
    check_key(pair, node);
    ++pos_;
    Node value = flow_value(parent, open_bracket, may_touch, node.where);
    add_entry(pair.node, std::move(node), std::move(value));
    --depth_;
    return std::move(pair.node);
}

/// `key`, `key: value` or `? key : value`.
void Reader::flow_entry(OpenMap& map, long parent, std::size_t open_bracket) {
    if (is_indicator(pos_, '?', true)) {
        ++pos_;
        flow_skip(parent, open_bracket);
    }
    if (is_indicator(pos_, ':', true)) {
        refuse_key(source_.where(pos_), false);
    }
    if (here() == '[' || here() == '{') {
        if (here() == '{' && source_.at(map.offset) == '{' &&
            source_.only_spaces(map.offset + 1, pos_)) {
            fail(map.offset,
                 "{{ }} without quotes is a map in YAML, not a template",
                 "Quote it, or write ${{ }}.",
                 "yaml.key");
        }
        refuse_key(source_.where(pos_), true);
    }
    const bool may_touch = here() == '"' || here() == '\'';
    Node key = flow_node(parent);
    check_key(map, key);
    flow_skip(parent, open_bracket);
    Node value;
    if (at_flow_colon(may_touch)) {
        ++pos_;
        value = flow_value(parent, open_bracket, may_touch, key.where);
    } else {
        value = nothing(key.where);
    }
    add_entry(map.node, std::move(key), std::move(value));
}

/// After the colon. The value may touch it after a key in quotes or brackets only.
Node Reader::flow_value(long parent,
                        std::size_t open_bracket,
                        bool may_touch,
                        const SourceLocation& owner) {
    const Gap gap = flow_skip(parent, open_bracket);
    const bool is_missing = here() == ',' || here() == ']' || here() == '}';
    return is_missing || (gap.is_empty && !may_touch) ? nothing(owner) : flow_node(parent);
}

/// To the next character, whose line has to belong to the bracket.
Reader::Gap Reader::flow_skip(long parent, std::size_t open_bracket) {
    const Gap gap = skip();
    const char bracket = source_.at(open_bracket);
    if (at_end()) {
        fail(open_bracket,
             std::string("this ") + bracket + " is never closed",
             "Perhaps a comma or a bracket is missing after it.");
    }
    if (!gap.ends_a_line ||
        (static_cast<long>(line_.indent) > parent && !at_document_mark(line_.begin))) {
        return gap;
    }
    if (gap.tab != std::string::npos) {
        refuse_tab(gap.tab);
    }
    if (here() == ']' || here() == '}') {
        fail(pos_,
             "a closing bracket that is indented too little",
             "Indent it with more spaces than what the bracket belongs to.");
    }
    fail(open_bracket,
         std::string("this ") + bracket + " is still open on line " +
             std::to_string(source_.where(pos_).line) + ", which is indented too little",
         "Close it before, or indent that line with more spaces than what the bracket belongs to.");
}

/// After an item or entry: whether another one follows. Else the reader stands at the end.
bool Reader::flow_goes_on(long parent, std::size_t open_bracket, char end) {
    flow_skip(parent, open_bracket);
    if (here() == ',') {
        ++pos_;
        flow_skip(parent, open_bracket);
        return true;
    }
    if (here() != end) {
        if (here() == '#') {
            refuse_rest();
        }
        fail(pos_,
             std::string("a comma or ") + end + " was expected",
             "Quote a text that holds a comma, a bracket or \": \".");
    }
    return false;
}

bool Reader::at_flow_colon(bool may_touch) const {
    return here() == ':' && (may_touch || is_indicator(pos_, ':', true));
}

}  // namespace lockstep::yaml
